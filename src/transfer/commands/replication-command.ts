import type { RequestedFile } from '../cluster-files/cluster-files.js'

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
