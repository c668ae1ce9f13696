import { SqlBackupMode } from '../../cluster-files/sql/sql-backup-mode.js'
import { findSpecialFiles } from '../../cluster-files/sql/special-file-search.js'
import { SqlClusterFiles } from '../../cluster-files/sql/sql-cluster-files.js'
import { isRecoveryConflict, sqlError } from '../../cluster-files/sql/sql-error.js'
import { hearNotices } from '../../connection/server-error.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import type { ReplicationProof } from '../../connection/gate/connect-replication.js'
import {
  connectToServer,
  findServer,
  processIdOf,
  type SqlClient,
} from '../../connection/gate/connect-sql.js'
import type { FoundServer } from '../../connection/gate/server-identity.js'
import { BackupRegistry } from '../../session/backup.js'
import { ReplicationSession } from '../../session/replication-session.js'
import { NetworkWatch } from './network-watch.js'
import type { OpenedLeader, OpenOptions, OpenedWorker } from './source.js'

/**
 * Opens a leader's session in this process, over SQL.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openSqlLeader(
  connection: ConnectionOptions,
  { fragmentDirectory, onNotice, onLost, signal }: OpenOptions,
): Promise<OpenedLeader> {
  const { client, server } = await findServer(connection, signal)
  hearNotices(client, onNotice)
  const mode = await SqlBackupMode.open(() => Promise.resolve(client))
  void mode.lost.then(onLost)
  try {
    const search = { connection: server.connection, proof: () => proofOf(mode), onNotice, signal }
    const files = await SqlClusterFiles.open(() => connectWatched(server, onLost, signal), {
      findSpecialFiles: (suspects) => findSpecialFiles(search, suspects),
    })
    const registry = new BackupRegistry()
    return {
      session: new ReplicationSession({ files, mode, registry, fragmentDirectory, onNotice }),
      workers: { kind: 'sql', server },
      database: server.connection,
      joinableBackup: (backupId) => ({ backupId, handle: registry.get(backupId) }),
      watchNetwork: (pids, signal) => NetworkWatch.start(server, pids, signal),
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
  server: FoundServer,
  { fragmentDirectory, onNotice, onLost, retries, signal }: OpenOptions,
): Promise<OpenedWorker> {
  let pid: number | undefined
  const connect = async (): Promise<SqlClient> => {
    // One that is idle when it is lost is missed when there is more to read.
    const client =
      retries === undefined
        ? await connectWatched(server, onLost, signal)
        : await connectToServer(server, signal)
    pid ??= processIdOf(client)
    return client
  }
  const files = await SqlClusterFiles.open(connect, { retries: retries && { ...retries, signal } })
  const registry = new BackupRegistry()
  return {
    session: new ReplicationSession({ files, registry, fragmentDirectory, onNotice }),
    pid,
    makeKnown: ({ handle }) => {
      if (handle !== undefined) registry.add(handle)
    },
  }
}

async function proofOf(mode: SqlBackupMode): Promise<ReplicationProof> {
  const { systemIdentifier, majorVersion } = await mode.facts()
  return { systemIdentifier, majorVersion, findWalSender: (name) => mode.findWalSender(name) }
}

async function connectWatched(
  server: FoundServer,
  onLost: OpenOptions['onLost'],
  signal: AbortSignal,
): Promise<SqlClient> {
  const { user } = server.connection
  const client = await connectToServer(server, signal)
  // Whoever reads files connects again then, and this one may be lost.
  let isInTheWay = false
  client.connection.on('errorMessage', (error: unknown) => {
    isInTheWay ||= isRecoveryConflict(sqlError(error, user))
  })
  client.on('error', (error: unknown) => {
    if (!isInTheWay) onLost(sqlError(error, user))
  })
  return client
}
