import type { Client } from 'pg'
import { SqlBackupMode } from '../../cluster-files/sql/sql-backup-mode.js'
import { SqlClusterFiles } from '../../cluster-files/sql/sql-cluster-files.js'
import { isRecoveryConflict, sqlError } from '../../cluster-files/sql/sql-error.js'
import { connect } from '../../connection/connect.js'
import type { ConnectionOptions } from '../../connection/connection-options.js'
import { pinHost } from '../../connection/pin-host.js'
import { BackupRegistry } from '../../session/backup-registry.js'
import { ReplicationSession } from '../../session/replication-session.js'
import { NetworkWatch } from '../network-watch.js'
import type { LeaderSession, OpenOptions, WorkerSession } from './sessions.js'

/**
 * Opens a leader's session in this process, over SQL.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openSqlLeader(
  connection: ConnectionOptions,
  { fragmentDirectory, onNotice, onLost, signal }: OpenOptions,
): Promise<LeaderSession> {
  let pinned = connection
  const mode = await SqlBackupMode.open(async () => {
    const client = await connect(connection, { signal })
    pinned = pinHost(connection, client)
    return client
  })
  void mode.lost.then(onLost)
  try {
    const files = await SqlClusterFiles.open(() => connectWatched(pinned, onLost, signal))
    const registry = new BackupRegistry()
    return {
      session: new ReplicationSession({ files, mode, registry, fragmentDirectory, onNotice }),
      workers: { kind: 'sql', connection: pinned },
      database: pinned,
      ticketOf: (backupId) => ({ backupId, handle: registry.get(backupId) }),
      watchNetwork: (pids, signal) => NetworkWatch.start(pinned, pids, signal),
    }
  } catch (error) {
    await mode.close()
    throw error
  }
}

/**
 * Opens a worker's session in this thread, over SQL.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openSqlWorker(
  connection: ConnectionOptions,
  { fragmentDirectory, onNotice, onLost, signal }: OpenOptions,
): Promise<WorkerSession> {
  let pid: number | undefined
  const files = await SqlClusterFiles.open(async () => {
    const client = await connectWatched(connection, onLost, signal)
    pid ??= processIdOf(client)
    return client
  })
  const registry = new BackupRegistry()
  return {
    session: new ReplicationSession({ files, registry, fragmentDirectory, onNotice }),
    pid,
    introduce: ({ handle }) => {
      if (handle !== undefined) registry.add(handle)
    },
  }
}

async function connectWatched(
  connection: ConnectionOptions,
  onLost: OpenOptions['onLost'],
  signal: AbortSignal,
): Promise<Client> {
  const client = await connect(connection, { signal })
  // Whoever reads files connects again then, and this one may be lost.
  let isInTheWay = false
  client.connection.on('errorMessage', (error: unknown) => {
    isInTheWay ||= isRecoveryConflict(sqlError(error, connection.user))
  })
  client.on('error', (error: unknown) => {
    if (!isInTheWay) onLost(sqlError(error, connection.user))
  })
  return client
}

/** The types of `pg` leave it out. */
function processIdOf(client: Client): number | undefined {
  return (client as unknown as { readonly processID: number | null }).processID ?? undefined
}
