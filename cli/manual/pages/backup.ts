import type { Manual } from '../manual.js'

export const backupManual: Manual = {
  description: `
\`pbmanifest backup\` takes a base backup of a running PostgreSQL 13 to 19 by several workers, over nothing but database connections: nothing is installed on the server. What it makes is what \`pg_basebackup\` makes, and it has its options. A server starts on the backup, and \`pg_verifybackup\` takes its manifest.
The role needs the grants of \`docs/backup-role.sql\`; it need not be a superuser. There is a connection for each worker, four more, and one for the stream of WAL. All must reach the same server, which each of them proves; a connection pooler is refused.
\`backup_manifest\` gets its name last of all: a directory that has one is a complete backup. Then everything that \`pbmanifest verify\` checks is checked, except that files are not read again; \`--verify\` reads them.
The first failure ends the backup and is the one that is reported. What this run has made is then removed, and the server is out of backup mode. A server that finds data pages with a wrong checksum does not hinder the backup; it fails at its end, and the files are left.
\`pbmanifest-basebackup\`, also by a link that is called \`pg_basebackup\`, is the same with the command line, the silence and the exit status (0 or 1) of \`pg_basebackup\`; what that command line cannot say, variables of the environment say.`,
  options: {
    pgdata:
      'It is created, or must be empty. With `s3://BUCKET/PREFIX` each file becomes an object of a store that speaks the protocol of S3, below a prefix where there is nothing yet; `docs/object-stores.md` tells what it takes. With `-Ft`, `-` is standard output, of a cluster without tablespaces and with `-X fetch` or `none`; nothing is verified then.',
    format:
      '`tar` writes `base.tar`, one `OID.tar` for each tablespace, and `pg_wal.tar` into the directory, as `pg_basebackup -Ft` does, with all workers.',
    compress:
      'Only in tar format. `METHOD` is `gzip`, `lz4` or `zstd`; a number alone is a level of gzip. All is compressed here, by all workers, also with `client-` or `server-` before it; with `server-`, WAL that is streamed is not, and plain format is taken, too.',
    incremental:
      'The `backup_manifest` of the backup to build on, full or incremental; that backup itself is not needed. The server has to be of PostgreSQL 17 or later, with `summarize_wal` on. `pg_combinebackup`(1) makes a data directory of the backups.',
    'max-rate': 'From 32 kB/s to 1024 MB/s, as for `pg_basebackup`.',
    'write-recovery-conf':
      'Makes `standby.signal`, and appends `primary_conninfo` to `postgresql.auto.conf`, so that a server on the backup is a standby of this one.',
    'tablespace-mapping':
      'May be given several times. An equals sign in a name is written `\\=`, and a byte may be written `\\xNN`.',
    'wal-method':
      '`stream` receives the WAL while files are copied, over a connection of its own. `fetch` copies it at the end. With `none` the backup needs the archive.',
    jobs: 'From 1 to 128.',
    checkpoint: 'A spread one may take minutes before the first file is copied.',
    waldir: 'An absolute path. `pg_wal` becomes a link to it.',
    'create-slot':
      'The slot of `--slot`, which must not be there. It stays; when the backup fails, it is dropped, but not with `--no-clean`.',
    slot: 'One that exists, or that `--create-slot` makes; only with `-X stream`. Without it there is a temporary one.',
    'sync-method':
      '`syncfs` has Linux write out the file systems that the backup is on, with all that others wrote there.',
    'endpoint-url': 'As for `pbmanifest verify`.',
    'addressing-style': 'As for `pbmanifest verify`.',
    'status-interval': 'From 0, which is only when the server asks, to 2147483.',
    progress: 'The server looks at the size of all files once more for it.',
    verbose: 'Each step, and what each worker did with its time.',
    'no-manifest': 'Then there is no closing check either.',
    agent:
      'Files then come from an agent that runs beside the server, see `pbmanifest-serve`(1). `-d`, `-h`, `-p` and `-U` still name the database server, which the stream of WAL comes from.',
    dbname:
      'A connection string, a URI, or the name of a database. Without one, or when it does not exist, it is `postgres`, else `template1`, else that of the user.',
    retries: 'From 0, which is never, to 1000; at once first, then after 1, 2, 4 ... 30 seconds.',
    'io-timeout': 'From 1 to 86400. A checkpoint, or the archive at the end, may take longer.',
    output:
      'The document follows `backup-report.schema.json`, or `error.schema.json` when there is no backup.',
  },
  exitStatus: {
    done: 'The backup is complete, and verifies.',
    problems: 'The closing check found problems.',
    inputOutput: 'Something could not be written here.',
    server: 'The server reported an error, or a connection could not be made or was lost.',
  },
  files: [
    ['~/.pgpass', "Passwords, as for PostgreSQL's programs."],
    ['~/.pg_service.conf', 'Connection services.'],
    [
      'pbmanifest.unfinished',
      'In a target directory, or an object below the prefix: the backup there is not complete.',
    ],
    ['backup_manifest.tmp', 'The manifest of a backup that failed for the checksums of data pages.'],
  ],
  environment: [
    [
      'PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGPASSFILE, PGSERVICE, PGSERVICEFILE, PGSSLMODE, PGAPPNAME ...',
      "Count as they do for PostgreSQL's programs.",
    ],
    [
      'PBMANIFEST_JOBS, PBMANIFEST_AGENT, PBMANIFEST_RETRIES, PBMANIFEST_IO_TIMEOUT, PBMANIFEST_VERIFY=1',
      'For `pbmanifest-basebackup` alone: `--jobs`, `--agent`, `--retries`, `--io-timeout` and `--verify`.',
    ],
    [
      'PBMANIFEST_PG_VERSION',
      'For `pbmanifest-basebackup` alone: the version that `--version` tells, such as `16.4`.',
    ],
  ],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-serve(1)', 'pbmanifest-verify(1)', 'pg_basebackup(1)'],
}
