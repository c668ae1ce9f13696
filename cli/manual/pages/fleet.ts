import type { Manual } from '../manual.js'

export const fleetManual: Manual = {
  description: `
\`pbmanifest fleet\` verifies backups with many machines, each of which takes shards from a queue in a PostgreSQL database. It needs the package \`pg-boss\` (version 10) beside it.
\`fleet init\` makes the queue, in a schema of its own. \`fleet worker\` runs on each machine that can read the backups, and verifies what it takes from the queue. \`fleet verify\` puts backups into the queue; with \`--wait\`, it waits for the workers, prints the report of each backup, and exits as \`pbmanifest verify\` does, by the worst. \`fleet status\` says what waits, runs, is done or has failed. \`fleet cancel\` has the workers verify no more of what was enqueued.
A shard whose worker dies, hangs or loses the queue is given to another one, and counts once. After three failed attempts its backup is given up. The first SIGTERM has a worker finish the shard that it is at and end; a second one ends it at once, and the shard is given back.`,
  options: {
    queue:
      'All that it does not say comes from the environment (`PGHOST`, `PGPASSWORD`), the service and the password file, as with `psql`.',
    root: 'May be given several times. A worker refuses what is below none of its roots, and links that lead out of them; it needs at least one. With NAME, `fleet verify` has machines look below their own root of that name: a backup is below DIR here, or written NAME:PATH.',
    lease: 'Should be several times as long as the connection to the queue may be disturbed.',
    shards: 'A shard that is begun again is read again: the more there are, the less is lost with a worker.',
    run: 'What has ended is kept for seven days.',
    output:
      'For `fleet status`, the JSON document follows `fleet-status.schema.json`; for `fleet verify --wait`, it is that of `pbmanifest verify`.',
  },
  exitStatus: {
    done: 'Done; for `fleet verify --wait`: all backups verify.',
    problems: 'There are problems with a backup.',
    badInput: 'The manifest of a backup, or what a worker has handed in, cannot be read as such.',
    cannotMerge:
      'What the workers have handed in does not make one report: the manifest was changed meanwhile.',
    inputOutput: 'A shard has failed three times, or the verification was cancelled.',
    server: 'The queue: there is no connection, there is none, or it is of a newer version.',
    partial: 'No problem was found, but all files are ignored.',
  },
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)', 'pbmanifest-merge-reports(1)'],
}
