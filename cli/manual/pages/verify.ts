import type { Manual } from '../manual.js'

export const verifyManual: Manual = {
  description: `
\`pbmanifest verify\` compares a backup with its \`backup_manifest\`: every file is there, no other file is, and sizes and checksums are right. It compares \`pg_control\`, \`backup_label\` and \`tablespace_map\` with each other and with the manifest, looks for the directories that a server needs, checks the checksums of data pages, and reads every record of the WAL that the backup needs.
It works for manifests of PostgreSQL 13 and later, in plain and in tar format, needs no program of PostgreSQL, and never writes into the backup. Options and messages are those of \`pg_verifybackup\` where it has them.
Several directories are verified one after the other, each by itself. A GLOB, quoted, stands for the directories that it matches, and is an error when there are none; a directory that is named twice, also through a link, is verified once. The exit status is then the worst that one of them has: 1 before all others, then 3, 5 and 7.
With \`-\` in the place of DIRECTORY, one tar archive of a backup is read from standard input; \`-m\` then names the manifest. With \`--allowed-signers\`, REPORT may be a JSON report of \`verify\` or \`backup\`, whose signature is then checked.
With \`s3://BUCKET/PREFIX\`, the backup is verified where it lies in an object store, each file an object or in tar format, and nothing is written anywhere.
Problems are told on standard error as they are found, and all of them are told. The verdict is that the backup verifies, that it does not, that only a part of it was seen, or, with \`--max-age\` or \`--subset\`, that no problem was found but not all files were read. The last line of the report says what was not checked.`,
  options: {
    'wal-path': 'A tar archive may be compressed, and has the segments at its top or in `pg_wal`.',
    'partial-wal': 'That is how `pg_receivewal` leaves the segment that it is about to complete.',
    ignore:
      'A path is relative to DIRECTORY, as in the manifest. A glob is to be quoted. May be given several times. Where nothing is left to compare, the verdict is that only a part was verified.',
    format:
      'Without it, a directory with a `PG_VERSION` is in plain format, and one with files that are named like archives (`base.tar`, also with `.gz`, `.lz4` or `.zst`) in tar format.',
    archive:
      'The OID is that of a tablespace; the name of the archive does as well. Status 0 is given for this archive alone, because it is all that is to be verified.',
    shard:
      'Which files are in a shard follows from the manifest alone. `auto/N` takes the number that a scheduler gives, from 0, in the environment variable `JOB_COMPLETION_INDEX` or `AWS_BATCH_JOB_ARRAY_INDEX`. The exit status is 1 when there is a problem in the shard; that there is none says nothing of the backup.',
    'fetch-command':
      'It is run by `/bin/sh` for each part of a backup in tar format, with the name of the part for `%f` (`%%` is a percent sign): `backup_manifest`, `base.tar`, `16384.tar` for a tablespace, `pg_wal.tar`; where no bytes come, also with `.gz`, `.lz4` and `.zst` behind it. A command that fails, or writes to standard error, makes a problem of that part. No DIRECTORY is given then.',
    'endpoint-url':
      '`https://HOST`, or `https://HOST:PORT`. Credentials, region and the rest are found as AWS finds them: in `AWS_ACCESS_KEY_ID` and the like, or in `~/.aws/config` and `~/.aws/credentials`.',
    'addressing-style':
      '`path` where an endpoint is named, `virtual` at AWS, unless the profile says otherwise.',
    checksums:
      '`stored` compares the CRC-32C or SHA-256 that the store keeps of each object, of a backup in plain format, and reads only files of which it keeps none of the whole object, or another one than the manifest. Nobody sees the bytes then: the verdict is `sampled`, never that the backup was verified.',
    'fetch-timeout': 'From 1 to 86400. The command is then ended, with all that it has started.',
    chain:
      'Name the backups as for `pg_combinebackup`: the full one first, each other one after the one that it builds on. The last line says whether they may be combined.',
    'page-checksums':
      'Without a value it means `on`, which is refused where the checksums cannot be checked. A page that was copied while it was written is no problem when the WAL of the backup writes it anew.',
    'allowed-signers':
      'The format is that of `ssh-keygen`(1). Manifests are signed for the namespace `backup_manifest@pbmanifest`, reports for `report@pbmanifest`.',
    'skip-checksums': 'Presence and size of files, and all else, are checked nevertheless.',
    state:
      'The directory is made when it is not there. It must not be in the backup, and nobody else may write in it. Two verifications of one backup cannot keep their reports there at once: the second is refused.',
    'max-age':
      'A file is unchanged when its size, modification time, change time, inode and device are what they were when it was read and found good. What decays on the medium is not seen so: that is what the age is for. An age is a number and a unit: `s`, `min`, `h`, `d` or `w`. The verdict is then `sampled`, never that the backup was verified.',
    subset:
      'A share, or a size (`200G`), takes the files that were read the longest ago, or never; `3/30` every thirtieth file from the third on. What was bad, or has changed, is read besides. Files that were never read are left to later runs.',
    'max-rate': 'As for `pg_basebackup`: of all threads together, for files, archives and WAL.',
    jobs: 'At most 64.',
    progress: 'At most once a second. Cannot be used together with `-q`.',
    verbose:
      'Each step when it begins; at the end which backup it was, its manifest, how long the steps took, and why something was not checked.',
    report:
      'KIND is one of `html`, a page that loads nothing, `json`, `junit`, and `prometheus`, whose file is for the textfile collector of the node exporter. May be given several times. FILE is written whole or not at all, also for a backup that cannot be verified, and must not be in a backup.',
    output:
      'The document follows `verify-report.schema.json`, `verify-backups-report.schema.json` where several backups could be meant, or `error.schema.json` when there can be no report. Problems are then not repeated on standard error. With `nagios` there is one line, whatever happens, and the exit status is that of a plugin: 0 for OK, 1 for WARNING (a part), 2 for CRITICAL (problems), 3 for UNKNOWN.',
  },
  exitStatus: {
    done: 'The backup, or the archive that `--archive` names, verifies; or no problem was found, and `--max-age` or `--subset` asked for no more.',
    problems: 'Problems were found.',
    badInput: 'The manifest cannot be read as one.',
    inputOutput: 'The manifest or the directory cannot be read at all.',
    partial: 'No problem was found, but only a part of the backup was seen, or all of it was ignored.',
  },
  files: [
    ['backup_manifest', 'The manifest, in the root of the backup.'],
    ['DIRECTORY.sig, backup_manifest.sig', 'Its signature: beside the backup, or in it.'],
    [
      'postgresql.auto.conf, recovery.signal, standby.signal',
      'May be written after the manifest, so they are never a problem; what differs is warned of.',
    ],
  ],
  environment: [['PBMANIFEST_STATE', 'The state directory, where `--state` is not given.']],
  seeAlso: [
    'pbmanifest(1)',
    'pbmanifest-status(1)',
    'pbmanifest-sign(1)',
    'pbmanifest-backup(1)',
    'pg_verifybackup(1)',
    'pg_combinebackup(1)',
  ],
}
