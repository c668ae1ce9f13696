import type { Pathname } from '../../files/pathname.js'

/**
 * The commands of a parallel backup, parsed. As text they are:
 *
 *     IDENTIFY_CLUSTER
 *     FIND_WAL_SENDER 'application name'
 *     START_BACKUP [LABEL 'label'] [FAST] [MAX_RATE kB/s] [MANIFEST_CHECKSUMS 'algorithm'] [MANIFEST 'yes'|'no'|'force-encode']
 *     JOIN_BACKUP 'backup_id'
 *     LIST_TABLESPACES [PROGRESS]
 *     LIST_FILES ['tablespace OID']
 *     LIST_WAL_FILES [START_WAL_LOCATION 'X/X'] [END_WAL_LOCATION 'X/X']
 *     SEND_FILE ( 'pathname' [, ...] ) [NOVERIFY_CHECKSUMS]
 *     STOP_BACKUP [NOWAIT]
 *     BUILD_MANIFEST 'backup_id'
 *     LEAVE_BACKUP
 *     ABORT_BACKUP
 *     LIST_BACKUPS
 *
 * Keywords in any case, options in any order, each once. A quote in a string is doubled. Bytes that are not UTF-8, which a
 * pathname may hold, stand in an escape string as PostgreSQL has it: `E'base/\xff'` (see `quoted-string.ts`).
 */
export type ReplicationCommand =
  | { readonly command: 'IDENTIFY_CLUSTER' }
  | { readonly command: 'FIND_WAL_SENDER'; readonly applicationName: string }
  | {
      readonly command: 'START_BACKUP'
      readonly label: string
      readonly fast: boolean
      /** kB/s over all workers; `undefined`: unlimited. */
      readonly maxRate: number | undefined
      readonly manifest: 'yes' | 'no' | 'force-encode'
      /** As written; the session refuses an unknown one. Never with MANIFEST 'no'. */
      readonly manifestChecksums: string | undefined
    }
  | { readonly command: 'JOIN_BACKUP'; readonly backupId: string }
  | { readonly command: 'LIST_TABLESPACES'; readonly progress: boolean }
  | { readonly command: 'LIST_FILES'; readonly tablespace: number | undefined }
  | {
      readonly command: 'LIST_WAL_FILES'
      readonly startLsn: bigint | undefined
      readonly endLsn: bigint | undefined
    }
  | {
      readonly command: 'SEND_FILE'
      readonly pathnames: readonly Pathname[]
      readonly verifyChecksums: boolean
    }
  | { readonly command: 'STOP_BACKUP'; readonly wait: boolean }
  | { readonly command: 'BUILD_MANIFEST'; readonly backupId: string }
  | { readonly command: 'LEAVE_BACKUP' }
  | { readonly command: 'ABORT_BACKUP' }
  | { readonly command: 'LIST_BACKUPS' }

export type CommandName = ReplicationCommand['command']

/** What a session answers. LIST_BACKUPS is about all backups: whoever has all the sessions answers it. */
export type SessionCommand = Exclude<ReplicationCommand, { command: 'LIST_BACKUPS' }>

/** The label of a backup that was given none: the server's own. */
export const DEFAULT_LABEL = 'base backup'
