import type { CompressionSettings } from '../../files/compression/piece-compressor.js'
import { isStoreAddress } from '../../source/store/store-address.js'
import type { StoreOptions } from '../../source/store/store-settings.js'
import type { SyncMethod } from '../../files/durable-file.js'
import type { SessionNotice } from '../session/backup-session.js'
import type { TablespaceMapping } from '../../target/tablespace-mapping.js'
import type { ConnectionOptions } from '../connection/settings/connection-options.js'

/** Of workers, where nobody says otherwise. */
export const DEFAULT_JOBS = 4

/** How often in a row a worker connects again. */
export const DEFAULT_RETRIES = 3

/** More attempts than this, with up to half a minute between them, are none. */
export const MAX_RETRIES = 1000

/** More workers than this are refused: the server bears each as a connection, this machine as a thread of some 15 MB. */
export const MAX_JOBS = 128

/** All that a {@link WalMethod} can be. */
export const walMethods = ['none', 'fetch', 'stream'] as const

/** How the WAL that a backup needs comes along: not, copied at the end, or streamed meanwhile. */
export type WalMethod = (typeof walMethods)[number]

/** In the place of a directory. */
export const STANDARD_OUTPUT = '-'

/** Whether there is one archive, which nobody keeps. */
export function isStandardOutput({
  format,
  directory,
}: Pick<BackupOptions, 'format' | 'directory'>): boolean {
  return format === 'tar' && directory === STANDARD_OUTPUT
}

/** Whether it goes to an object store, each file an object. */
export function isStored({ directory }: Pick<BackupOptions, 'directory'>): boolean {
  return isStoreAddress(directory)
}

/** What a backup is written as. */
export type BackupFormat = 'plain' | 'tar'

/** How far the copying has come. */
export interface BackupProgress {
  readonly bytesDone: number
  /** What the server said at the start; files change meanwhile, so it is not exact. Never less than `bytesDone`. */
  readonly bytesTotal: number
  readonly tablespacesDone: number
  readonly tablespacesTotal: number
  /** The path here of a file, or with `tar` of an archive, that is being written; `undefined`: all are copied. */
  readonly file: string | undefined
}

/** What to back up, where to, and how. Every option has the default of `pg_basebackup`, but for `jobs`. */
export interface BackupOptions {
  /**
   * The directory that becomes the backup, or that its archives go to. Created; or it must be empty. In tar format, {@link STANDARD_OUTPUT}
   * has the only archive go there: of a cluster without tablespaces, with WAL that is not streamed. In plain format it may be
   * `s3://BUCKET/PREFIX`, below which there must be nothing: then each file becomes an object of that store.
   */
  readonly directory: string
  /** How the object store of `directory` is reached. Required for one. */
  readonly store?: StoreOptions
  /** Default `plain`: a directory that a server can start on. `tar`: archives, as `pg_basebackup -Ft` makes them. */
  readonly format?: BackupFormat
  /** How archives are compressed, in tar format. Default: not at all. */
  readonly compression?: CompressionSettings
  /** Whether gzip compresses the archive of WAL that is streamed, too. Default true, as `pg_basebackup`; other methods never do. */
  readonly compressWal?: boolean
  /** The database server. With an agent, it is for the stream of WAL and for `writeRecoveryConf` only. */
  readonly connection: ConnectionOptions
  /** An agent (`pbmanifest serve`) beside the database server, which files then come from. Default: files come over SQL. */
  readonly agent?: ConnectionOptions
  /** How many workers copy files, each on a connection of its own, 1 to 128. Default 4. */
  readonly jobs?: number
  /**
   * How often in a row a worker whose connection is lost connects again, 0 to 1000; then the backup fails. Default 3.
   */
  readonly retries?: number
  /**
   * The `backup_manifest` of the backup that this one is to build on: of files of relations, only the blocks that were changed
   * since are taken. The server has to be of PostgreSQL 17 or later, with `summarize_wal` on. Default: a full backup.
   */
  readonly incremental?: string
  readonly tablespaceMappings?: readonly TablespaceMapping[]
  /** Default `stream`: WAL is received while files are copied. */
  readonly walMethod?: WalMethod
  /** A replication slot, for `stream`. Default: a temporary one. */
  readonly slot?: string
  /** Whether `slot` is made, and not to be there already; it stays when the backup is there. Default false. */
  readonly createSlot?: boolean
  /** An absolute path: the directory for `pg_wal`, which becomes a link. Created; or it must be empty. */
  readonly walDirectory?: string
  /** Seconds between two status updates to the server while WAL is streamed; 0: only those that it asks for. Default 10. */
  readonly statusInterval?: number
  /** Whether a temporary replication slot is made. Default true. */
  readonly useTemporarySlot?: boolean
  /** Default `spread`: the checkpoint at the start does not hurry. */
  readonly checkpoint?: 'fast' | 'spread'
  /** Default `pbmanifest base backup`. */
  readonly label?: string
  /** kB/s (1024 bytes), over all workers, 32 to 1048576. Default: as fast as it goes. */
  readonly maxRate?: number
  /** Whether to write what a standby needs to follow the server. Default false. */
  readonly writeRecoveryConf?: boolean
  /** Whether to remove, after a failure, what was made. Default true. */
  readonly cleanUp?: boolean
  /** Whether to wait until everything is durable. Default true. What an object store has taken is durable in any case. */
  readonly sync?: boolean
  /** How. Default `fsync`; `syncfs` is for Linux only. */
  readonly syncMethod?: SyncMethod
  /** Default `yes`. */
  readonly manifest?: 'yes' | 'no' | 'force-encode'
  /** `CRC32C` (the default), `SHA224`, `SHA256`, `SHA384`, `SHA512` or `NONE`. */
  readonly manifestChecksums?: string
  /** Whether data pages are verified on the way, where the cluster has checksums. Default true. */
  readonly verifyPageChecksums?: boolean
  /** Stops the backup; what was made is removed, and the promise rejects with code `ABORTED`. */
  readonly signal?: AbortSignal
  /** Is told once a second, and at the end of the copying. */
  readonly onProgress?: (progress: BackupProgress) => void
  /** Is told when the backup begins to wait for the checkpoint, which may take minutes. */
  readonly onCheckpoint?: () => void
  /** Is told what pg_basebackup says with `--verbose`, one line. */
  readonly onStep?: (message: string) => void
  /** Is told what the server warns of. */
  readonly onNotice?: (notice: SessionNotice) => void
}
