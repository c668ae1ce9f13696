import type { Manual } from '../manual.js'

export const combineManual: Manual = {
  description: `
\`pbmanifest combine\` puts a full backup and the incremental ones that build on it together into one full backup, from which a server can start. The full backup comes first, then each incremental one after the one that it builds on. The result is the same, byte for byte, as that of \`pg_combinebackup\`, but for times.
\`pg_combinebackup\` does not look at what it reads. Here, all that \`pbmanifest verify --chain\` can say without reading files is looked at first; then every file is compared with the manifest of its own backup while it is combined, and data pages with their checksums. The first file that is not what its manifest says makes the result of no use: it is removed, and the file and its backup are named. The other files are still compared, so that all of them are named.
Each thread writes a fragment of the new manifest, with checksums computed while writing; nothing is read again.
The result appears whole or not at all: backup_manifest comes last, and what was written is removed when something fails or the command is stopped. What a killed one leaves is marked, and is refused by the next.
Backups in tar format have to be unpacked first.`,
  options: {
    'tablespace-mapping':
      'Each tablespace of the last backup that is not in its pg_tblspc must be named, by where its link there leads.',
    copy: 'Cloned files share their content with the backup, on file systems such as XFS and Btrfs, until one of them is changed.',
    clone: 'An error where the file system cannot.',
    'copy-file-range': 'Blocks that are put together are read and written as ever.',
    link: 'What a server changes in the result is then changed in the backup, too.',
    'no-verify':
      'This is what `pg_combinebackup` does: a damaged input goes into the result, with the checksum that it should have had. Only what is needed is read; without this option, every input file that has a part in the result is read whole.',
    'page-checksums': 'They are checked also with `--no-verify`, in all that is read and written.',
    'dry-run': 'The headers of incremental files are read, and no other files.',
    output:
      'The document follows `combine-report.schema.json`. `--output=DIRECTORY` is the same as `-o DIRECTORY`, as `pg_combinebackup` has it.',
  },
  exitStatus: {
    done: 'The result is there, or, of a dry run, could be made.',
    problems: 'A backup, or what is between them, is not as it should be. Nothing is left of the result.',
    badInput: 'A manifest cannot be read as one.',
    cannotMerge: 'The WAL ranges of the last backup make no manifest.',
    inputOutput: 'A file cannot be read or written, or the output directory is not empty.',
  },
  files: [['pbmanifest.unfinished', 'In a directory that is written: who is at it, or was killed.']],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)', 'pbmanifest-backup(1)', 'pg_combinebackup(1)'],
}
