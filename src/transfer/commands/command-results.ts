import type { Pathname } from '../../files/pathname.js'
import type { WalSenderSearch } from '../connection/gate/connect-replication.js'
import type {
  BackupEnd,
  ClusterFacts,
  ClusterFile,
  FileEvent,
  Tablespace,
  WalFile,
} from '../cluster-files/cluster-files.js'

/** What each command gives. */
export interface CommandResults {
  /** What the cluster is; needs no backup. */
  readonly IDENTIFY_CLUSTER: ClusterFacts
  /** Whether a WAL sender is one of this server's; needs no backup. */
  readonly FIND_WAL_SENDER: WalSenderSearch
  /** The manifest was read, and an incremental backup may be built on its backup. */
  readonly UPLOAD_MANIFEST: undefined
  readonly START_BACKUP: {
    readonly backupId: string
    readonly startLsn: bigint
    readonly startTimeline: number
  }
  /** The worker's number in this backup: 0 is the leader. */
  readonly JOIN_BACKUP: { readonly worker: number }
  /** Needs no backup, but with PROGRESS. */
  readonly LIST_TABLESPACES: readonly Tablespace[]
  readonly LIST_FILES: readonly ListedFile[]
  readonly LIST_WAL_FILES: readonly WalFile[]
  readonly SEND_FILE: AsyncIterable<SentFileEvent>
  readonly STOP_BACKUP: StoppedBackup
  /** The bytes of the merged backup_manifest; each piece is valid until the next is asked for. */
  readonly BUILD_MANIFEST: AsyncIterable<Buffer>
  /** The session is over, its fragment sealed. */
  readonly LEAVE_BACKUP: undefined
  /** The session is over, the server out of backup mode, and no fragment is left. Without a backup: nothing. */
  readonly ABORT_BACKUP: undefined
  /** The backups that have not ended, the oldest first. */
  readonly LIST_BACKUPS: readonly ListedBackup[]
}

/** A file or directory, and how it is to be sent. */
export interface ListedFile extends ClusterFile {
  /**
   * Of a file of which an incremental backup has only what has changed: the size of all of it. `pathname` and `size` are those of
   * the incremental file then. `undefined`: it is sent whole.
   */
  readonly wholeSize: number | undefined
}

/** A backup that has not ended. */
export interface ListedBackup {
  /** `undefined`: not for whoever asks, for who has it can join. */
  readonly backupId: string | undefined
  readonly label: string
  /** How many sessions have joined, the leader's not counted. */
  readonly workers: number
  readonly bytes: number
  /** Bytes per second, lately. */
  readonly rate: number
  readonly state: 'running' | 'stopping' | 'stopped'
  /** An estimate; `undefined` until LIST_TABLESPACES PROGRESS was run. */
  readonly bytesExpected: number | undefined
}

/**
 * The end of a backup. No file but WAL can be sent after it, so the number of checksum failures is final.
 *
 * A server finishes a backup in which it found some, manifest and all, and then fails it, so that its user has what there
 * is and still cannot take it for good. The same here: the commands succeed, and whoever sent them ends with the error
 * `checksum verification failure during base backup` when this number is not 0.
 */
export interface StoppedBackup extends BackupEnd {
  /** How many pages of all files of all sessions had a wrong checksum. */
  readonly checksumFailures: number
}

/**
 * What SEND_FILE streams: the files in the order in which they were asked for. What is known of a file follows its bytes,
 * because a COPY has no place for it before them; whoever needs to know its size before asks for that.
 */
export type SentFileEvent =
  /** The next file begins. */
  | {
      readonly type: 'file'
      readonly pathname: Pathname
      /** With SIZES: what the end will say, too. */
      readonly announced?: { readonly size: number; readonly modified: number } | undefined
    }
  | Extract<FileEvent, { type: 'bytes' | 'vanished' }>
  | {
      readonly type: 'end'
      /** How many bytes were sent; what a file that shrank lacked was sent as zeros. */
      readonly size: number
      /** Seconds since 1970. */
      readonly modified: number
      /** Lower-case hexadecimal; `undefined` without a manifest, with NONE, and for files in pg_wal. */
      readonly checksum: string | undefined
      /** How long its bytes had to wait because of MAX_RATE. */
      readonly throttledMs: number
    }
