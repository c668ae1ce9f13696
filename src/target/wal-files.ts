import type { WalFileName } from '../postgres/wal-segment.js'

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
