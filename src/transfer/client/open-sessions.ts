import type { Client } from 'pg'
import type { PbManifestError } from '../../errors.js'
import { SqlBackupMode } from '../cluster-files/sql/sql-backup-mode.js'
import { SqlClusterFiles } from '../cluster-files/sql/sql-cluster-files.js'
import { sqlError } from '../cluster-files/sql/sql-error.js'
import { connect } from '../connection/connect.js'
import type { ConnectionOptions } from '../connection/connection-options.js'
import type { BackupHandle } from '../session/backup-handle.js'
import { BackupRegistry } from '../session/backup-registry.js'
import type { BackupSession, SessionNotice } from '../session/backup-session.js'
import { ReplicationSession } from '../session/replication-session.js'

/** What a session is opened with. */
export interface OpenOptions {
  readonly onNotice: (notice: SessionNotice) => void
  /** Is told when a connection is lost, also one that is idle: whoever uses it would learn of it only then. */
  readonly onLost: (error: PbManifestError) => void
  readonly signal: AbortSignal
}

/** The session of a leader, and what stands behind it. */
export interface LeaderSession {
  readonly session: BackupSession
  readonly mode: SqlBackupMode
  readonly files: SqlClusterFiles
  readonly registry: BackupRegistry
  /** The server that it is connected to: workers must not end up at another one of several. */
  readonly connection: ConnectionOptions
}

/** @throws {@link PbManifestError} `SERVER` or `ABORTED` */
export async function openLeaderSession(
  connection: ConnectionOptions,
  fragmentDirectory: string,
  { onNotice, onLost, signal }: OpenOptions,
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
    const session = new ReplicationSession({
      files,
      mode,
      registry,
      fragmentDirectory,
      onNotice,
    })
    return { session, mode, files, registry, connection: pinned }
  } catch (error) {
    await mode.close()
    throw error
  }
}

/** What a worker reads from. */
export interface WorkerFiles {
  readonly files: SqlClusterFiles
  /** The server's process that it is connected to. */
  readonly pid: number
}

/** @throws {@link PbManifestError} `SERVER` or `ABORTED` */
export async function openWorkerFiles(
  connection: ConnectionOptions,
  { onLost, signal }: Omit<OpenOptions, 'onNotice'>,
): Promise<WorkerFiles> {
  let pid = 0
  const files = await SqlClusterFiles.open(async () => {
    const client = await connectWatched(connection, onLost, signal)
    pid ||= processIdOf(client)
    return client
  })
  return { files, pid }
}

/** A session that knows the backup that it is to join. */
export function createWorkerSession(
  backup: BackupHandle,
  { files }: WorkerFiles,
  onNotice: OpenOptions['onNotice'],
): BackupSession {
  const registry = new BackupRegistry()
  registry.add(backup)
  const { fragmentDirectory } = backup.description
  return new ReplicationSession({ files, registry, fragmentDirectory, onNotice })
}

async function connectWatched(
  connection: ConnectionOptions,
  onLost: OpenOptions['onLost'],
  signal: AbortSignal,
): Promise<Client> {
  const client = await connect(connection, { signal })
  client.on('error', (error: unknown) => onLost(sqlError(error, connection.user)))
  return client
}

/** The types of `pg` leave it out. */
function processIdOf(client: Client): number {
  return (client as unknown as { readonly processID: number | null }).processID ?? 0
}

function pinHost(connection: ConnectionOptions, { host, port }: Client): ConnectionOptions {
  const hosts = connection.hosts.filter((one) => (one.address ?? one.host) === host && one.port === port)
  return { ...connection, hosts: hosts.slice(0, 1) }
}
