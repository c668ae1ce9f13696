import { spawn } from 'node:child_process'
import { pgBaseBackupCommand } from './base-backup.js'
import { type Cluster, createCluster } from './cluster.js'
import { copyBackupTo } from './copy-backup.js'
import { type PlainBackup, readPlainBackup } from './plain-backup.js'
import { poll } from './poll.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { plainEnvironment } from './run-program.js'
import { sharedFixture } from './shared-fixture.js'
import { createStandby } from './standby.js'

/**
 * A backup of PostgreSQL 15 whose manifest has two WAL ranges on two timelines, made once per test run.
 *
 * It is taken from a cascading standby whose upstream becomes a primary during the copy.
 */
export async function twoTimelinesBackup(programs: PostgresPrograms): Promise<PlainBackup> {
  const root = await sharedFixture('two-timelines-15', async (directory) => {
    const clusters: Cluster[] = []
    try {
      const primary = await createCluster(programs, { walSegmentMegabytes: 1 })
      clusters.push(primary)
      await primary.sql('CREATE TABLE large AS SELECT n FROM generate_series(1, 100000) AS n; CHECKPOINT')
      const standby = await createStandby(primary)
      clusters.push(standby)
      const cascading = await createStandby(standby)
      clusters.push(cascading)
      const backup = await backupAcrossPromotion(cascading, standby)
      await copyBackupTo(backup, directory)
    } finally {
      for (const cluster of clusters.toReversed()) await cluster.remove()
    }
  })
  return readPlainBackup(root)
}

async function backupAcrossPromotion(cascading: Cluster, upstream: Cluster): Promise<PlainBackup> {
  // Slow enough to be caught in the middle, fast enough to end soon.
  const slow = ['-X', 'stream', '--max-rate=8M']
  const { file, args, root } = await pgBaseBackupCommand(cascading, { name: 'two-timelines', args: slow })
  const backup = startProgram(file, args, cascading)
  await poll('the backup to send files', async () => {
    const rows = await cascading.sql(
      `SELECT FROM pg_stat_progress_basebackup
        WHERE phase = 'streaming database files' AND backup_streamed > 1000000`,
    )
    return rows.length === 1
  })
  // While its client does not read, the backup cannot end, however long the rest takes.
  backup.signal('SIGSTOP')
  try {
    await upstream.promote()
    await upstream.sql('CREATE TABLE after_promotion AS SELECT n FROM generate_series(1, 10000) AS n')
    await upstream.sql('CHECKPOINT')
    await poll('the second timeline on the cascading standby', () =>
      endsOnSecondTimeline(cascading, upstream),
    )
  } finally {
    backup.signal('SIGCONT')
  }
  await backup.ended
  return readPlainBackup(root)
}

/** Whether a backup of the standby that ended now would end on timeline 2, with all that its upstream wrote. */
async function endsOnSecondTimeline(standby: Cluster, upstream: Cluster): Promise<boolean> {
  const [position] = await upstream.sql<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
  const [standing] = await standby.sql<{ replayed: boolean }>(
    `SELECT pg_last_wal_replay_lsn() >= '${position?.lsn ?? ''}' AS replayed`,
  )
  if (standing?.replayed !== true) return false
  // The restartpoint is what moves the minimum recovery point.
  const [control] = await standby.sql<{ timeline: number }>(
    'CHECKPOINT; SELECT min_recovery_end_timeline AS timeline FROM pg_control_recovery()',
  )
  return control?.timeline === 2
}

interface RunningProgram {
  signal(signal: NodeJS.Signals): void
  readonly ended: Promise<void>
}

function startProgram(file: string, args: readonly string[], cluster: Cluster): RunningProgram {
  const { user } = cluster
  const child = spawn(file, args, {
    cwd: '/',
    env: { ...plainEnvironment(), ...cluster.environment() },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => {
      if (status === 0) resolve()
      else reject(new Error(`${file} exited with status ${String(status)}\n${said}`))
    })
  })
  // It may fail before anybody waits for it.
  ended.catch(() => {})
  return { signal: (signal) => child.kill(signal), ended }
}
