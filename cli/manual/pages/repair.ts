import type { Manual } from '../manual.js'

export const repairManual: Manual = {
  description: `
\`pbmanifest repair\` takes what is missing or damaged in a backup from another copy of it. Nothing that the copy has is trusted: each file is compared with size and checksum in the manifest of DIRECTORY while it is written to a temporary file, and takes its place only when it is the file of the manifest.
Without \`--write\`, nothing is changed: what would be repaired is said. With it, the backup is verified again afterwards.
Missing directories are made. WAL segments, which no manifest lists, are taken when all records of the manifest's WAL ranges can be read with them. Files that the manifest does not list are named, and never removed.
The copy may be damaged itself, and may be of another backup: what fits is taken, and of all else it is said why not. Nothing is written into it.`,
  options: {
    from: 'In plain or in tar format. An archive is read once; its WAL and pg_control are kept in a directory in TMPDIR meanwhile. `s3://BUCKET/PREFIX` is an object store.',
    'fetch-command': 'As for `pbmanifest verify`. Its standard error is not looked at.',
    'fetch-timeout': 'From 1 to 86400.',
    'manifest-from-copy':
      'The copy then says what the backup has to be, and only a signature could tell that it is the one that it should be.',
    'trust-size': 'Without it, such a file is taken only when it is empty.',
    tablespace:
      'Nothing is written through a link that leads out of DIRECTORY unless this names where it leads, because that may belong to a server: a plain copy of a cluster has links to the tablespaces of that cluster. A link that is missing, or leads elsewhere, is made.',
    'allowed-signers': 'By a manifest without a good signature, nothing is repaired.',
    jobs: 'At most 8 files are fetched at a time.',
    output: 'The document follows `repair-report.schema.json`.',
  },
  exitStatus: {
    done: 'The backup verifies.',
    problems: 'It does not: something was not repaired, or nothing was to be written.',
    badInput: 'The manifest cannot be read as one.',
    inputOutput: 'The manifest or a directory cannot be read, or a file could not be written.',
    partial: 'No problem was found, but all of the backup was ignored.',
  },
  files: [
    ['*.pbmanifest-repair', 'Temporary files; those of a repair that was killed are removed by the next.'],
  ],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)', 'pg_verifybackup(1)'],
}
