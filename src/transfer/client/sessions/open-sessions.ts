import type { BackupOptions } from '../options.js'
import type { LeaderSession, OpenOptions, SessionServer, WorkerSession } from './sessions.js'

// Each way is loaded only where it is gone: a thread that needs neither SQL nor checksums starts the sooner.

/**
 * Opens the session that is to lead a backup.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openLeaderSession(
  { agent, connection }: Pick<BackupOptions, 'agent' | 'connection'>,
  options: OpenOptions,
): Promise<LeaderSession> {
  if (agent === undefined) {
    const { openSqlLeader } = await import('./sql-sessions.js')
    return await openSqlLeader(connection, options)
  }
  const { openAgentLeader } = await import('./agent-sessions.js')
  return await openAgentLeader(agent, connection, options)
}

/** Loads what {@link openWorkerSession} needs, before it is known where to connect to. */
export async function loadSessions(kind: SessionServer['kind']): Promise<void> {
  await (kind === 'sql' ? import('./sql-sessions.js') : import('./agent-sessions.js'))
}

/**
 * Opens the session of a worker.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openWorkerSession(where: SessionServer, options: OpenOptions): Promise<WorkerSession> {
  switch (where.kind) {
    case 'sql': {
      const { openSqlWorker } = await import('./sql-sessions.js')
      return await openSqlWorker(where.server, options)
    }
    case 'agent': {
      const { openAgentWorker } = await import('./agent-sessions.js')
      return await openAgentWorker(where.agent, options)
    }
    default:
      return where satisfies never
  }
}
