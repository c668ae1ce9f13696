import type { Manual } from '../manual.js'

/** The page of the program. */
export const programManual: Manual = {
  description: `
\`pbmanifest\` takes base backups of PostgreSQL, makes and checks \`backup_manifest\`, the list of every file of a base backup with its size and checksum, in parallel and without any program of PostgreSQL.
What it does is said by a command, which comes first; each has a page of its own. Long options may be abbreviated as long as it is clear which one is meant, and a value follows an equals sign or as the next argument. \`--\` ends the options.
Results go to standard output, all else to standard error, one line each, as by PostgreSQL's own programs: \`pbmanifest: error: ...\`, \`warning:\`, \`detail:\` and \`hint:\`. With \`--output=json\`, standard output is one document, for which there are schemas in the package.`,
  exitStatus: {
    done: 'Done. Of a command that checks: no problem was found, and nothing that was asked for was left out.',
    problems: 'Problems were found.',
    badInput: 'A manifest or a fragment cannot be read as one.',
    cannotMerge: 'The fragments cannot be merged.',
    inputOutput: 'The operating system refused a read or a write, or a file is not in its format.',
    server: 'The server: no connection, a breach of the protocol, or an error that it reported.',
    partial: 'No problem was found, but only a part of the backup was seen.',
  },
  files: [
    ['backup_manifest', 'The manifest, in the root of a backup.'],
    ['$(npm root -g)/pbmanifest/docs', 'A page for each task, with examples, and what each problem means.'],
    ['$(npm root -g)/pbmanifest/schemas', 'JSON Schemas of all JSON that is printed.'],
  ],
  seeAlso: ['pg_basebackup(1)', 'pg_verifybackup(1)', 'pg_combinebackup(1)'],
}

export const helpManual: Manual = {
  description: `
\`pbmanifest help\` prints a summary of all commands, \`pbmanifest help COMMAND\` one of a command and its options, as \`pbmanifest COMMAND --help\` does. This manual has more.`,
  exitStatus: { done: 'Done.' },
  seeAlso: ['pbmanifest(1)'],
}

export const completionManual: Manual = {
  description: `
\`pbmanifest completion\` prints a script for bash (4 and later), zsh, or fish (3 and later), by which the shell completes commands, options and their values at the TAB key: the words that an option takes, files where files are meant, and directories where directories are. The script needs nothing else, and does not start pbmanifest.
It is of the version that printed it: print it again after an upgrade, or have the shell do so when it starts:
    source <(pbmanifest completion bash)   # ~/.bashrc
    source <(pbmanifest completion zsh)    # ~/.zshrc, after compinit
    pbmanifest completion fish | source    # ~/.config/fish/config.fish`,
  exitStatus: { done: 'Done.' },
  files: [
    ['/etc/bash_completion.d/pbmanifest', 'Where bash-completion looks for it.'],
    ['/usr/local/share/zsh/site-functions/_pbmanifest', 'Where zsh does.'],
    ['~/.config/fish/completions/pbmanifest.fish', 'Where fish does.'],
  ],
  seeAlso: ['pbmanifest(1)', 'bash(1)', 'zsh(1)', 'fish(1)'],
}
