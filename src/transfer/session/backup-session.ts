import type { CommandResults, SessionCommand, SessionCommandName } from '../commands/replication-command.js'
import type { BackupMode, ClusterFiles } from '../cluster-files/cluster-files.js'
import type { KnownBackups } from './backup.js'

/** Something that the session wants said, which is no error: a page whose checksum failed, for example. */
export interface SessionNotice {
  readonly severity: 'WARNING' | 'NOTICE'
  readonly message: string
  readonly hint?: string | undefined
}

/**
 * One session of a parallel backup: a leader's or a worker's. The client reaches it only by commands, whether it runs in
 * this process or behind a socket.
 */
export interface BackupSession {
  /**
   * Runs one command, for example `{ command: 'JOIN_BACKUP', backupId }`.
   *
   * @throws {@link PbManifestError} when it is refused or fails
   */
  run<Name extends SessionCommandName>(
    command: SessionCommand<Name>,
    signal?: AbortSignal,
  ): Promise<CommandResults[Name]>
  /**
   * Ends the session in good order: a worker's fragment is sealed. A leader's end before BUILD_MANIFEST, or before
   * STOP_BACKUP when there is to be no manifest, aborts its backup.
   *
   * @throws {@link PbManifestError} `ABORTED` when the leader has aborted the backup; `USAGE` when a command is running:
   * the session is aborted then; `IO`. No fragment is left in these cases.
   */
  finish(): Promise<void>
  /** Ends the session after a failure: its fragment is removed, and a leader's backup aborted. Never throws. */
  abort(): Promise<void>
}

/** What a session works with. It closes `files` and `mode` at its end. */
export interface SessionOptions {
  readonly files: ClusterFiles
  /** Without it, the session can be a worker's only. */
  readonly mode?: BackupMode
  /** Where the session finds the backup to join, and where a leader's makes its own known. */
  readonly registry: KnownBackups
  /** Where the fragments of a backup that this session leads are until they are merged. An existing directory. */
  readonly fragmentDirectory: string
  readonly onNotice?: (notice: SessionNotice) => void
}
