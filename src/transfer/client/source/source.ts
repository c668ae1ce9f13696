import type { PbManifestError } from '../../../errors.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import type { FoundServer } from '../../connection/gate/server-identity.js'
import type { ConnectionRetries } from '../../connection/lost-connection.js'
import type { BackupHandle } from '../../session/backup.js'
import type { BackupSession, SessionNotice } from '../../session/backup-session.js'
import type { NetworkWatch } from './network-watch.js'

/** Where sessions are to be had. Plain data: it crosses threads. */
export type SessionSource =
  /** In this process, which reaches the cluster by the SQL of this database server. */
  | { readonly kind: 'sql'; readonly server: FoundServer }
  /** At this agent. */
  | { readonly kind: 'agent'; readonly agent: FoundAgent }

/** An agent that was found, and how to reach it again. Plain data: it crosses threads. It holds passwords. */
export interface FoundAgent {
  readonly connection: ConnectionOptions
  /** What it calls itself; `undefined`: nothing. */
  readonly identity: string | undefined
}

/** What a session is opened with. */
export interface OpenOptions {
  /** Where the fragments of the backup may be, if its sessions run in this process. */
  readonly fragmentDirectory: string
  readonly onNotice: (notice: SessionNotice) => void
  /** Is told when a connection is lost, also one that is idle: whoever uses it would learn of it only then. */
  readonly onLost: (error: PbManifestError) => void
  /** What is done about it instead, where the session can go on over another connection: over SQL. See `WorkerSession`. */
  readonly retries?: Omit<ConnectionRetries, 'signal'> | undefined
  readonly signal: AbortSignal
}

/**
 * The session of a leader, and what else there is where it is.
 *
 * The session itself is reached by commands only; whether it runs in this process or elsewhere, nobody knows.
 */
export interface OpenedLeader {
  readonly session: BackupSession
  /** Where the workers are to open theirs: at the very server that was found, of several. */
  readonly workers: SessionSource
  /** The database server, for the stream of WAL. */
  readonly database: ConnectionOptions
  /** A backup that this session has started, as a worker needs it. */
  joinableBackup(backupId: string): JoinableBackup
  /**
   * Begins to look at what the server's side of the workers waits for; `undefined` where that cannot be seen.
   *
   * @param pids - see {@link OpenedWorker.pid}
   */
  watchNetwork(pids: () => readonly number[], signal: AbortSignal): Promise<NetworkWatch | undefined>
}

/** A backup as a worker needs it to join. Plain data and shared memory: it crosses threads. */
export interface JoinableBackup {
  readonly backupId: string
  /** The backup's memory, if its sessions run in this process. */
  readonly handle: BackupHandle | undefined
}

/** The session of a worker. */
export interface OpenedWorker {
  readonly session: BackupSession
  /** The database server's process behind it, where that is known. */
  readonly pid: number | undefined
  /** Makes the backup known to the session, which is about to join it. */
  makeKnown(backup: JoinableBackup): void
}
