import type { BackupMode, ClusterFiles } from '../cluster-files/cluster-files.js'
import type { KnownBackups } from './backup-registry.js'
import type { SessionNotice } from './backup-session.js'

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
