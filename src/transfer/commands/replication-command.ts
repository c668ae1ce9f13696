import type {
  BackupEnd,
  ClusterFacts,
  ClusterFile,
  FileEvent,
  RequestedFile,
  Tablespace,
  WalFile,
} from '../cluster-files/cluster-files.js'
import type { Pathname } from '../../files/pathname.js'
import type { WalSenderSearch } from '../connection/gate/connect-replication.js'

/**
 * The commands of a parallel backup, and what each is given. Text they are only at a socket:
 *
 *     IDENTIFY_CLUSTER
 *     FIND_WAL_SENDER 'application name'
 *     UPLOAD_MANIFEST
 *     START_BACKUP [LABEL 'label'] [FAST] [MAX_RATE kB/s] [MANIFEST_CHECKSUMS 'algorithm'] [MANIFEST 'yes'|'no'|'force-encode'] [INCREMENTAL]
 *     JOIN_BACKUP 'backup_id' [SESSION 'session_id' [RECEIVED files]]
 *     LIST_TABLESPACES [PROGRESS]
 *     LIST_FILES ['tablespace OID']
 *     LIST_WAL_FILES [START_WAL_LOCATION 'X/X'] [END_WAL_LOCATION 'X/X']
 *     SEND_FILE ( 'pathname' [, ...] ) [NOVERIFY_CHECKSUMS] [SIZES]
 *     STOP_BACKUP [NOWAIT] [TABLESPACE_MAP]
 *     BUILD_MANIFEST 'backup_id'
 *     LEAVE_BACKUP
 *     ABORT_BACKUP
 *     LIST_BACKUPS
 *
 * Keywords in any case, options in any order, each once. A quote in a string is doubled. Bytes that are not UTF-8, which a
 * pathname may hold, stand in an escape string as PostgreSQL has it: `E'base/\xff'` (see `quoted-string.ts`).
 */
interface CommandParameters {
  readonly IDENTIFY_CLUSTER: object
  readonly FIND_WAL_SENDER: { readonly applicationName: string }
  /** Text holds none: its bytes come by a COPY. */
  readonly UPLOAD_MANIFEST: { readonly manifest: AsyncIterable<Buffer> | undefined }
  readonly START_BACKUP: {
    readonly label: string
    readonly fast: boolean
    /** kB/s over all workers; `undefined`: unlimited. */
    readonly maxRate: number | undefined
    readonly manifest: 'yes' | 'no' | 'force-encode'
    /** As written; the session refuses an unknown one. Never with MANIFEST 'no'. */
    readonly manifestChecksums: string | undefined
    /** Whether to take only what has changed since the backup whose manifest was uploaded. */
    readonly incremental: boolean
  }
  readonly JOIN_BACKUP: {
    readonly backupId: string
    /** By which another session may take the place of this one, or this one takes that of another. */
    readonly session?: SessionPlace | undefined
  }
  readonly LIST_TABLESPACES: { readonly progress: boolean }
  readonly LIST_FILES: { readonly tablespace: number | undefined }
  readonly LIST_WAL_FILES: { readonly startLsn: bigint | undefined; readonly endLsn: bigint | undefined }
  readonly SEND_FILE: {
    /** Text holds no sizes. */
    readonly files: readonly RequestedFile[]
    readonly verifyChecksums: boolean
    /** Whether the size of each file is to be known before its bytes come. Default false. */
    readonly sizes?: boolean
  }
  /** `tablespaceMap`: whether the backup has a file of it, which the manifest is to list. Default false. */
  readonly STOP_BACKUP: { readonly wait: boolean; readonly tablespaceMap?: boolean }
  readonly BUILD_MANIFEST: { readonly backupId: string }
  readonly LEAVE_BACKUP: object
  readonly ABORT_BACKUP: object
  readonly LIST_BACKUPS: object
}

/** A worker's place in a backup, as its client calls it. */
interface SessionPlace {
  /** 32 hexadecimal digits, of the client's choice. Who knows them can take the place. */
  readonly id: string
  /**
   * How many files came whole in this place, WAL not counted: these stay in its part of the manifest, in the order in which
   * they were sent, and what was sent after them is forgotten. 0 for a new place.
   */
  readonly received: number
}

export type CommandName = keyof CommandParameters

/**
 * A command, whichever or one of these names. Written so that the compiler knows that what is found by a command's name
 * belongs to that command.
 */
export type ReplicationCommand<Name extends CommandName = CommandName> = {
  readonly [Of in Name]: { readonly command: Of } & CommandParameters[Of]
}[Name]

/** What a session answers. LIST_BACKUPS is about all backups: whoever has all the sessions answers it. */
export type SessionCommandName = Exclude<CommandName, 'LIST_BACKUPS'>

export type SessionCommand<Name extends SessionCommandName = SessionCommandName> = ReplicationCommand<Name>

/** The label of a START_BACKUP without one, as of a server's BASE_BACKUP. @see src/backend/backup/basebackup.c (`parse_basebackup_options`) */
export const DEFAULT_LABEL = 'base backup'

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
