import type { Manual } from '../manual.js'

const unreadable = {
  badInput: 'A manifest cannot be read as one, is cut, or does not have its own checksum.',
  inputOutput: 'A manifest or a directory cannot be read at all.',
} as const

const seeAlso = [
  'pbmanifest(1)',
  'pbmanifest-show(1)',
  'pbmanifest-ls(1)',
  'pbmanifest-diff(1)',
  'pbmanifest-verify(1)',
]

export const showManual: Manual = {
  description: `
\`pbmanifest show\` tells what a \`backup_manifest\` says: of which cluster and version it is, which WAL the backup needs, how many files and bytes there are by tablespace, database and fork, and which files are the largest. MANIFEST may be a pipe; in DIRECTORY there is a backup in plain or in tar format.
Nothing but the manifest is read, and that to its end: of one that is cut, nothing is told. Whether the files are there and right, \`pbmanifest verify\` says.
A manifest has no names of databases and tablespaces, only OIDs. The version of PostgreSQL is known by the checksum of the file \`PG_VERSION\`.`,
  options: {
    largest: 'At most 10000.',
    output: 'The document follows `manifest-overview.schema.json`.',
  },
  exitStatus: { done: 'The manifest is whole, and was told.', ...unreadable },
  seeAlso,
}

export const lsManual: Manual = {
  description: `
\`pbmanifest ls\` prints the names of the files of a manifest, one a line: of all, or of those that are named, and of what is below directories that are named. What is no printable text in a name is shown as \`\\xNN\`, and PATHNAME takes names as they are shown.`,
  options: {
    sort: '`name` goes by bytes, as `sort` does with LC_ALL=C.',
    long: 'Each is one word, and `-` what the manifest does not have.',
    null: 'For `xargs -0` and for `pbmanifest fragment --files-from`.',
    output: 'The document follows `manifest-file-list.schema.json`.',
  },
  exitStatus: {
    done: 'All that was asked for was listed.',
    problems: 'The manifest does not have all that was named; the rest was listed.',
    ...unreadable,
  },
  seeAlso,
}

export const diffManual: Manual = {
  description: `
\`pbmanifest diff\` prints a line for each file that differs between two manifests: what became of it, its sizes before and after, and its name, with tabs between them. A file is \`added\`, \`removed\`, \`grown\`, \`shrunk\`, \`changed\` (as many bytes, another checksum), or \`not-compared\` (as many bytes, and nothing tells whether they are the same).
Lines before them tell whether version, system identifier or WAL ranges differ. Times of modification, and the order of files, make no difference. Two manifests of different clusters are compared all the same, with a warning.`,
  options: { output: 'The document follows `manifest-diff.schema.json`.' },
  exitStatus: {
    done: 'The manifests list the same.',
    problems: 'They differ.',
    ...unreadable,
    partial: 'No difference was found, but some files were not compared.',
  },
  seeAlso: [...seeAlso, 'diff(1)'],
}
