import type { Manual } from '../manual.js'

export const backupIdManual: Manual = {
  description: `
\`pbmanifest backup-id\` prints an id, 32 hexadecimal digits, that no other backup has. All workers of one backup are given the same by \`pbmanifest fragment --backup-id\`, so that fragments of different backups cannot be merged.`,
  exitStatus: { done: 'Done.' },
  seeAlso: ['pbmanifest(1)', 'pbmanifest-fragment(1)', 'pbmanifest-merge(1)'],
}

export const fragmentManual: Manual = {
  description: `
When several workers copy a cluster, each leaves a fragment: the entries of the files that it copied. \`pbmanifest fragment\` writes that of one worker from the copied files; \`pbmanifest merge\` makes one manifest of them.
With \`--workers\`, worker K of N records the K-th of N shares of the directory, which have about the same number of bytes. With \`--files-from\`, it records the files of a list. Without either, worker 0 records all. Workers may run at the same time, on any machine that sees the same files.
What a base backup of PostgreSQL's own leaves out is left out, and told. Files of tablespaces are found by the links in \`pg_tblspc\`. Other links, FIFOs and the like are passed over, with a warning.`,
  options: {
    'files-from':
      'Names are relative to DIRECTORY. They end in NUL when there is one in the list, else in a line feed.',
    'include-all':
      'For a copy of a whole directory, such as a snapshot. WAL is checked by the WAL ranges of the manifest instead.',
    output: 'It must not exist. By convention it is called `backup_manifest_ID.K`.',
  },
  exitStatus: {
    done: 'The fragment is complete and on disk.',
    inputOutput:
      'A file cannot be read, has vanished or changed its size, or the fragment cannot be written.',
  },
  seeAlso: ['pbmanifest(1)', 'pbmanifest-backup-id(1)', 'pbmanifest-merge(1)'],
}

export const mergeManual: Manual = {
  description: `
\`pbmanifest merge\` makes one \`backup_manifest\` of the fragments of all workers, byte for byte as a PostgreSQL server would write it for the same files. FRAGMENT is a file, a folder of fragments, or a quoted glob. Their order does not matter.
What stands in a manifest besides the files is given by options, or learned from the copy by \`--pgdata\`: version and system identifier from \`pg_control\`, the WAL range from \`backup_label\` and the backup history file. What is given must not contradict what is learned.
One error names every culprit: fragments that are cut, without a seal, of another backup or changed since; workers that are missing or there twice; a file in two fragments; WAL ranges that are empty, reversed or leave a gap. The manifest then does not appear, and one that was there stays.`,
  options: {
    workers: 'Without it, the fragment of the highest number is taken for the last one.',
    'server-version': 'From 19 on LSNs have eight digits behind the slash.',
    'wal-range': 'May be given several times, in any order.',
    'end-lsn': 'What `pg_backup_stop()` returns.',
    'end-timeline': 'Without it, the one on which the backup began.',
    'history-dir': 'Without it, `pg_wal` in the directory of `--pgdata`.',
    output: 'Replaces a file of that name, when the manifest is complete.',
  },
  exitStatus: {
    done: 'The manifest is complete and on disk.',
    badInput: 'A fragment cannot be read as one.',
    cannotMerge: 'The fragments do not make one manifest.',
    inputOutput: 'Something could not be read or written.',
  },
  files: [['backup_manifest_ID.K', 'The fragment of worker K, by convention.']],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-fragment(1)', 'pbmanifest-verify(1)'],
}

export const createManual: Manual = {
  description: `
\`pbmanifest create\` makes a \`backup_manifest\` for a data directory that has none: all files with their checksums, and the WAL that the backup needs. \`pbmanifest verify\` and \`pg_verifybackup\` take it, and a server takes it as the base of an incremental backup. It says what the files are now; so verify at once.
The directory is one of these. A copy that was made between \`pg_backup_start()\` and \`pg_backup_stop()\`, with the \`backup_label\` that the latter returned: it ends where a record in the WAL says, which is in the archive (\`--wal-path\`), or where \`--end-lsn\` says. A cluster that was shut down, or a copy of it. A snapshot of a running one (\`--snapshot\`), which ends with its WAL.
Refused are the directory of a server that runs, a copy of one without \`backup_label\`, and whatever does not say where it ends. Nothing may write to the directory meanwhile.
Every regular file is listed but those of \`pg_wal\`, and so are files that no base backup has, such as \`postmaster.pid\`: each verifier would call them extra. Links and FIFOs are not, with a warning.`,
  options: {
    snapshot: 'With `pg_wal` and all tablespaces, as the file system or the storage makes it in one moment.',
    'end-lsn': 'What `pg_backup_stop()` has returned.',
    'end-timeline': 'Without it, the one on which the backup began.',
    'wal-range': 'May be given several times, in any order.',
    output: 'It may lie outside of the directory, or be `backup_manifest` in it.',
    json: 'The document follows `create-report.schema.json`.',
  },
  exitStatus: {
    done: 'The manifest is complete and on disk.',
    cannotMerge:
      'Nothing says where the backup begins or ends, its files may be of different moments, or what is given contradicts the directory.',
    inputOutput:
      'A file cannot be read, has vanished or changed its size, or the manifest is there or cannot be written.',
  },
  files: [
    ['backup_manifest_ID.K', 'What thread K has recorded, beside the manifest until that is complete.'],
  ],
  seeAlso: [
    'pbmanifest(1)',
    'pbmanifest-verify(1)',
    'pbmanifest-fragment(1)',
    'pbmanifest-merge(1)',
    'pg_verifybackup(1)',
  ],
}
