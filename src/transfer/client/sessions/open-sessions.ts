import type { BackupOptions } from '../options.js'
import type { LeaderSession, OpenOptions, SessionServer, WorkerSession } from './sessions.js'
import { openSqlLeader, openSqlWorker } from './sql-sessions.js'

/**
 * Opens the session that is to lead a backup.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openLeaderSession(
  { connection }: Pick<BackupOptions, 'connection'>,
  options: OpenOptions,
): Promise<LeaderSession> {
  return await openSqlLeader(connection, options)
}

/**
 * Opens the session of a worker.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openWorkerSession(
  { connection }: SessionServer,
  options: OpenOptions,
): Promise<WorkerSession> {
  return await openSqlWorker(connection, options)
}
