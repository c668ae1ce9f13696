import type { Manual } from '../manual.js'

export const restoreManual: Manual = {
  description: `
\`pbmanifest restore\` makes a data directory of a backup, in which a server can start: of one in plain format, one in tar format, or one whose parts a command gives. Several files, or archives, are restored at a time, and each file is compared with its size and checksum in the manifest while it is written.
In the end, what was written is verified: \`pg_control\`, \`backup_label\` and the manifest fit each other, the directories that a server needs are there, and every record of the WAL that the backup needs can be read. Then \`backup_manifest\` is written.
When anything is wrong, what was made is removed, and DIRECTORY is as it was before.
WAL in \`pg_wal\`, \`postgresql.auto.conf\` and signal files (\`pg_basebackup -R\`) are taken along as they are; other files that the manifest does not list are not.`,
  options: {
    'fetch-command': 'As for `pbmanifest verify`. What it writes to standard error is passed on.',
    'endpoint-url': 'As for `pbmanifest verify`.',
    'addressing-style': 'As for `pbmanifest verify`.',
    'fetch-timeout': 'From 1 to 86400.',
    pgdata: 'It is made when it is not there, and has to be empty when it is.',
    'tablespace-mapping':
      'Both are absolute paths. Without it, a tablespace goes where it was, in a directory that is empty or not there. Where `tablespace_map` would send a server elsewhere, it is left out, also of the manifest.',
    'manifest-checksums':
      'CRC32C, SHA224, SHA256, SHA384, SHA512 or NONE. Without it, the manifest is that of the backup, byte for byte.',
    'only-missing':
      'What is in DIRECTORY is verified first. Files that are not there, or are not those of the manifest, are written as by `pbmanifest repair`, and WAL segments. Files that are too many are named, and the status is then not 0; what was written stays. Not for a directory in which a server has run.',
    'no-parse-wal': 'Needed where the backup has no WAL, which a `restore_command` then has to bring.',
    output: 'The document follows `restore-report.schema.json`.',
  },
  exitStatus: {
    done: 'The backup is restored.',
    badInput: 'The manifest cannot be read as one.',
    inputOutput:
      'A part of the backup is missing, differs from the manifest or cannot be read, or a file cannot be written.',
  },
  files: [['pbmanifest.unfinished', 'Is in a directory as long as it is not whole.']],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)', 'pbmanifest-repair(1)', 'pg_basebackup(1)'],
}
