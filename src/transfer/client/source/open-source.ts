import type { BackupOptions } from '../options.js'
import type { OpenedLeader, OpenOptions, SessionSource, OpenedWorker } from './source.js'

// Each source is loaded only where it is used: a thread that needs neither SQL nor checksums starts the sooner.

/**
 * Opens the session that is to lead a backup.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openLeaderSession(
  { agent, connection }: Pick<BackupOptions, 'agent' | 'connection'>,
  options: OpenOptions,
): Promise<OpenedLeader> {
  if (agent === undefined) {
    const { openSqlLeader } = await import('./sql-source.js')
    return await openSqlLeader(connection, options)
  }
  const { openAgentLeader } = await import('./agent-source.js')
  return await openAgentLeader(agent, connection, options)
}

/** Loads what {@link openWorkerSession} needs, before it is known where to connect to. */
export async function loadSource(kind: SessionSource['kind']): Promise<void> {
  await (kind === 'sql' ? import('./sql-source.js') : import('./agent-source.js'))
}

/**
 * Opens the session of a worker.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openWorkerSession(where: SessionSource, options: OpenOptions): Promise<OpenedWorker> {
  switch (where.kind) {
    case 'sql': {
      const { openSqlWorker } = await import('./sql-source.js')
      return await openSqlWorker(where.server, options)
    }
    case 'agent': {
      const { openAgentWorker } = await import('./agent-source.js')
      return await openAgentWorker(where.agent, options)
    }
    default:
      return where satisfies never
  }
}
