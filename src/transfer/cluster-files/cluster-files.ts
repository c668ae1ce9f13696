import type { PbManifestError } from '../../errors.js'
import type { WalSenderSearch } from '../connection/gate/connect-replication.js'
import type { Pathname } from '../../files/pathname.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import type { WalFileName } from '../../postgres/wal-segment.js'
import type { WalSummary } from '../../postgres/wal-summary/summary-file.js'

/** A tablespace of the cluster; the data directory itself comes last, without an OID. */
export interface Tablespace {
  /** `undefined`: the data directory. */
  readonly oid: number | undefined
  /** Absolute path on the server; relative (`pg_tblspc/OID`) for an in-place tablespace; '' for the data directory. */
  readonly location: string
  /** Bytes that a backup of it will have, when asked for. */
  readonly bytes: number | undefined
}

/** A file or directory that a base backup has, by the rules of a server's own (`basebackup.c`). */
export interface ClusterFile {
  /** Relative to the data directory; files of a tablespace as `pg_tblspc/OID/PG_...`. */
  readonly pathname: SafePathname
  readonly kind: 'file' | 'directory'
  /** 0 for a directory. */
  readonly size: number
  /** Seconds since 1970. */
  readonly modified: number
  /** Its permission bits on the server, 0 to 0777; `undefined`: not known. */
  readonly mode?: number | undefined
}

/** A file of pg_wal: a segment or a timeline history file. */
export interface WalFile {
  readonly name: WalFileName
  readonly size: number
}

/** A file that is asked for. */
export interface RequestedFile {
  readonly pathname: Pathname
  /** As it was listed, by which reading is planned; what comes is as large as the file is by then. `undefined`: not known. */
  readonly size: number | undefined
}

/** A file of which some pages are asked for. */
export interface RequestedBlocks {
  readonly pathname: Pathname
  /**
   * Chooses them when the file's size is known.
   *
   * @param size - of the whole file, in bytes
   * @returns their numbers in the file, ascending, each below its end
   */
  readonly choose: (size: number) => Uint32Array
}

/** What the files of one `read` come as, in the order in which they were asked for. */
export type FileEvent =
  /** The next file begins. `size` is what will be sent: fixed now, whatever becomes of the file. */
  | { readonly type: 'file'; readonly pathname: Pathname; readonly size: number; readonly modified: number }
  /** Bytes of it, in pieces of any size. The buffer may be used again after the next event was taken. */
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  /** All its bytes were given; what a shrunk file lacked was given as zeros. */
  | { readonly type: 'end' }
  /** It was gone before it could be opened: no `file`, no `bytes`. A server's own backup skips it silently. */
  | { readonly type: 'vanished'; readonly pathname: Pathname }

/** What a backup must know of the cluster it is of. */
export interface ClusterFacts {
  /** One that we know. */
  readonly majorVersion: number
  readonly systemIdentifier: bigint
  readonly walSegmentSize: number
  readonly hasDataChecksums: boolean
  /** Whether the server's group may read the data directory (`data_directory_mode`): directories 0750, files 0640. */
  readonly hasGroupAccess: boolean
  readonly isInRecovery: boolean
}

export interface BackupStart {
  readonly startLsn: bigint
  readonly startTimeline: number
}

export interface BackupEnd {
  readonly endLsn: bigint
  readonly endTimeline: number
  readonly backupLabel: Buffer
  /** Empty when there is no tablespace. */
  readonly tablespaceMap: Buffer
}

/** How far a server is with its summaries of WAL. */
export interface WalSummarizerState {
  /** Whether it makes any (`summarize_wal`). */
  readonly isOn: boolean
  /** Up to here they are in files. */
  readonly summarizedLsn: bigint
  /** Up to here it has read. */
  readonly pendingLsn: bigint
}

/** A directory that the server keeps files in, and that whoever reads its files has to see. */
export interface ServerDirectory {
  /** `undefined`: the data directory. */
  readonly tablespace: number | undefined
  /** The database whose files are there; `undefined`: the tablespace itself. */
  readonly database: number | undefined
}

/** Starts and stops backup mode. One connection has to live from start to stop: its end aborts the backup. */
export interface BackupMode {
  facts(): Promise<ClusterFacts>
  /** Whether a WAL sender of this name is one of this server's. */
  findWalSender(applicationName: string): Promise<WalSenderSearch>
  start(options: { readonly label: string; readonly fast: boolean }): Promise<BackupStart>
  /** What the server's catalog says there is: all tablespaces that have a location, and all databases. */
  directories(): Promise<readonly ServerDirectory[]>
  /** @param waitForArchive - whether to wait until the WAL is archived, where the server archives */
  stop(options: { readonly waitForArchive: boolean }): Promise<BackupEnd>
  /** Content of a timeline history file, when the server has it. */
  timelineHistory(timeline: number): Promise<Buffer | undefined>
  /** Asked of servers that have WAL summaries only. */
  walSummarizer(): Promise<WalSummarizerState>
  /**
   * Resolves when the backup is lost before its stop, with the reason: the connection ended, or the standby was promoted.
   * Else it never does.
   */
  readonly lost: Promise<PbManifestError>
  /** Ends the backup that was started, by ending its connection. Where another one can be made, the next start makes it. */
  abandon(): Promise<void>
  /** Ends the connection, and so a backup that runs. Safe to call at any time, more than once. */
  close(): Promise<void>
}

/** The file of a WAL summary. */
export interface ReadWalSummary {
  readonly summary: WalSummary
  readonly bytes: Buffer
}

export interface ListFilesOptions {
  readonly signal?: AbortSignal
  /** Is told of links, FIFOs and the like, which no backup takes. */
  readonly onSpecialFile?: (pathname: Pathname) => void
}

export interface ListTablespacesOptions {
  /** Sums up the sizes of all files, which takes as long as to list them. */
  readonly withSizes: boolean
  readonly signal?: AbortSignal
}

/**
 * Where the bytes of a cluster come from. Two makers: over SQL from a stock server, and from a local data directory.
 * Sessions do not know which.
 */
export interface ClusterFiles {
  listTablespaces(options: ListTablespacesOptions): Promise<readonly Tablespace[]>
  /**
   * What a base backup has of a tablespace, or of the data directory (`undefined`): directories before what is in them.
   * backup_label, tablespace_map, WAL and what a server leaves out are not listed; `global/pg_control` is.
   */
  listFiles(tablespaceOid: number | undefined, options?: ListFilesOptions): Promise<readonly ClusterFile[]>
  /** Whether there is, and can be listed, the directory in which the cluster has its files of a tablespace. */
  hasTablespaceDirectory(tablespaceOid: number): Promise<boolean>
  /** Segments and history files in pg_wal, by name. */
  listWalFiles(): Promise<readonly WalFile[]>
  /**
   * Reads regular files whole. Many small ones cost little more than one; large ones come in pieces, so memory does not
   * grow with them. `global/pg_control` is read again until its CRC is good.
   */
  read(files: readonly RequestedFile[], signal: AbortSignal | undefined): AsyncIterable<FileEvent>
  /**
   * Reads some pages of each of these files. A `file` event has the size of the whole file; the bytes that follow are those
   * pages, whole ones, one after the other. What the file lost meanwhile comes as zeros.
   */
  readBlocks(files: readonly RequestedBlocks[], signal: AbortSignal | undefined): AsyncIterable<FileEvent>
  /** The summaries of WAL that there are, in any order. Asked of servers that have them only. */
  listWalSummaries(): Promise<readonly WalSummary[]>
  /** The files of these, each whole, in their order. */
  readWalSummaries(
    summaries: readonly WalSummary[],
    signal: AbortSignal | undefined,
  ): AsyncIterable<ReadWalSummary>
  /**
   * Reads one page again, for the check of its checksum, while `read` waits for its next event to be taken. `undefined`
   * when the file ends before the page does.
   */
  rereadPage(pathname: Pathname, offset: number): Promise<Buffer | undefined>
  /** Whether data checksums are on at this moment, for a page whose checksum is wrong. */
  hasDataChecksums(): Promise<boolean>
  close(): Promise<void>
}
