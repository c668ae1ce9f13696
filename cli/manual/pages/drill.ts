import type { Manual } from '../manual.js'

export const drillManual: Manual = {
  description: `
\`pbmanifest drill\` starts a server on a copy of a backup, waits until it has recovered, connects to every database, runs the checks that it is asked for, and removes server and copy again: also when it is killed. The backup, in plain format, is only read.
The server has settings of its own, and none of the backup's: it listens to no network, archives nothing, follows no primary, and starts no subscriptions. Tablespaces are copied too.
A drill that fails says what has failed: the backup, or the drill, of which nothing follows for the backup.`,
  options: {
    as: 'Servers refuse to run as root. The directory of the copy must be within reach of that user.',
    set: 'It may be given several times. Libraries that the cluster cannot do without are named by `shared_preload_libraries`. Settings that keep the copy apart from the world cannot be changed.',
    scratch:
      'On a file system that shares content between files (XFS, Btrfs), and that of the backup, the copy takes no time and no space. Otherwise there has to be space for all of it, which is looked at before.',
    until:
      '`consistent`: until the backup is consistent, which is where `pg_basebackup` ends. `end`: all WAL that is in the backup.',
    amcheck:
      'Indexes with `heapallindexed`; tables with PostgreSQL 14 and later. The contrib modules have to be there.',
    sql: 'By `psql` where it is among the programs of the server, else as one query. The first error ends it, and is a failure of the backup.',
    output: 'The document follows `drill-report.schema.json`.',
  },
  exitStatus: {
    done: 'A server recovered, and all checks passed.',
    problems: 'The backup failed: no server recovers on it, or a check found something.',
    inputOutput: 'There is no such backup, no space for the copy, or something could not be read or written.',
    server: 'The drill failed: the server lacks something that no backup has, or a check could not be done.',
  },
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)', 'postgres(1)', 'pg_amcheck(1)'],
}
