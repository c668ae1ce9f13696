import type { SafePathname } from '../files/safe-pathname.js'
import type { WalFileName } from '../postgres/wal-segment.js'

/** A file that a backup is to have. Plain data: it crosses threads. */
export interface TargetFile {
  readonly pathname: SafePathname
  /** Its permission bits here. */
  readonly mode: number
}

/** What is known of a file when its bytes begin to come. */
export interface AnnouncedFile {
  /** Exactly as many bytes will come. */
  readonly size: number
  /** Seconds since 1970. */
  readonly modified: number
}

/**
 * Where one worker's files go, one after the other: `begin`, any number of `write`, `end`; or `abandon` instead of the rest.
 *
 * What returns a promise is to be waited for before the next call; nothing is waited for where there is none.
 */
export interface FileSink {
  /** Whether files have to be announced: a place has to be found for them before their bytes come. */
  readonly needsSizes: boolean
  /** @throws {@link PbManifestError} `IO`, as do the others */
  begin(file: TargetFile, announced: AnnouncedFile | undefined): void | Promise<void>
  /** The bytes are the caller's again when it returns, or when what it returns is settled. */
  write(bytes: Buffer): void | Promise<void>
  end(): void | Promise<void>
  /**
   * Takes back a file that has not come to its end. It begins again, as the next one: what it was on its way over was lost.
   */
  retract(): void
  /** Leaves a file that does not come to its end, and all else. Never throws. */
  abandon(): void
  /** There are no more files: what was written is durable when this resolves, where that was asked for. */
  finish(signal: AbortSignal): Promise<void>
}

/** A segment that is being written. */
export interface SegmentFile {
  /** As messages have it. */
  readonly path: string
  /** Appends; never more than the segment holds. */
  write(bytes: Buffer): Promise<void>
  /** Makes durable what there is, as far as that can be. */
  sync(): Promise<void>
  /** What was not written is zeros. */
  close(): Promise<void>
}

/** Where the WAL of a backup goes. Calls must not overlap. */
export interface WalFiles {
  /** Makes what is around them. */
  prepare(): Promise<void>
  /** @throws {@link PbManifestError} `IO`, as do the others */
  createSegment(name: WalFileName, size: number): Promise<SegmentFile>
  /** Writes a whole file, a timeline history file, and marks it. */
  writeWhole(name: WalFileName, content: Buffer): Promise<void>
  /** Tells the archiver of the server that starts on the backup that this file is archived already. */
  markDone(name: WalFileName): Promise<void>
}
