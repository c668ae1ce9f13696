import { appendSettings, Cluster, type Settings } from './cluster.js'
import { poll } from './poll.js'
import { mustRun } from './run-program.js'
import { createScratchDirectory } from './scratch-directory.js'
import { tablespaceMappings } from './tablespace-mappings.js'

/**
 * Makes a streaming standby of `upstream`, which may itself be one, and starts it. Needs Debian's pg_basebackup.
 *
 * It returns when the standby receives WAL from its upstream.
 */
export async function createStandby(upstream: Cluster, settings: Settings = {}): Promise<Cluster> {
  const standby = new Cluster(upstream.programs, createScratchDirectory())
  try {
    await copyUpstream(upstream, standby)
    await appendSettings(standby, { unix_socket_directories: standby.socketDirectory, ...settings })
    await standby.start()
    await poll('the standby to stream', () => isStreaming(standby))
    return standby
  } catch (error) {
    await standby.remove()
    throw error
  }
}

async function copyUpstream(upstream: Cluster, standby: Cluster): Promise<void> {
  const program = upstream.programs.path('pg_basebackup')
  if (program === undefined) throw new Error(`no pg_basebackup in "${upstream.programs.bin}"`)
  const mappings = await tablespaceMappings(upstream, await standby.makeDirectory('tablespaces'))
  await mustRun(
    program,
    [
      `--pgdata=${standby.dataDirectory}`,
      '--write-recovery-conf',
      '--wal-method=stream',
      '--checkpoint=fast',
      '--no-sync',
      '--no-manifest',
      ...mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`),
    ],
    { user: upstream.user, env: upstream.environment() },
  )
}

async function isStreaming(standby: Cluster): Promise<boolean> {
  const rows = await standby.sql(`SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'`)
  return rows.length === 1
}
