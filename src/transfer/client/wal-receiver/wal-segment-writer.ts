import { PbManifestError } from '../../../errors.js'
import { ioError } from '../../../files/system-error.js'
import { formatLsn } from '../../../postgres/lsn.js'
import { segmentHoldingStart, type WalFileName, walSegmentName } from '../../../postgres/wal-segment.js'
import type { SegmentFile, WalFiles } from '../../../target/file-sink.js'

export interface WalFileOptions {
  /** Where they go, and whether a segment is durable before it counts as flushed. */
  readonly files: WalFiles
  readonly walSegmentSize: number
}

/**
 * Writes WAL into segment files as pg_basebackup does: of full size, zeros after the last byte. A finished segment is
 * marked as archived.
 *
 * Calls must not overlap.
 *
 * @see src/bin/pg_basebackup/receivelog.c
 */
export class WalSegmentWriter {
  readonly #options: WalFileOptions
  #timeline: number
  #writtenLsn: bigint
  #flushedLsn: bigint
  #open: { readonly file: SegmentFile; readonly name: WalFileName } | undefined

  /** @param startLsn - the beginning of a segment */
  constructor(options: WalFileOptions, timeline: number, startLsn: bigint) {
    this.#options = options
    this.#timeline = timeline
    this.#writtenLsn = startLsn
    this.#flushedLsn = startLsn
  }

  /** Up to here, exclusive, everything is in its file. */
  get writtenLsn(): bigint {
    return this.#writtenLsn
  }

  /** Up to here everything is durable, where that was asked for. */
  get flushedLsn(): bigint {
    return this.#flushedLsn
  }

  /** Appends WAL. @throws {@link PbManifestError} `SERVER` when it does not follow what was written before; `IO` */
  async write(startLsn: bigint, bytes: Buffer): Promise<void> {
    if (startLsn !== this.#writtenLsn) {
      const [got, expected] = [formatLsn(startLsn), formatLsn(this.#writtenLsn)]
      throw new PbManifestError('SERVER', `got WAL data at ${got}, expected ${expected}`)
    }
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + this.#bytesLeftInSegment())
      await this.#writeInSegment(part)
      at += part.length
    }
  }

  /** Leaves the last, unfinished segment as it is, zeros behind, and goes on elsewhere: on a new timeline, for example. */
  async startAt(timeline: number, startLsn: bigint): Promise<void> {
    await this.close()
    this.#timeline = timeline
    this.#writtenLsn = startLsn
    this.#flushedLsn = startLsn
  }

  /** Makes what there is durable. */
  async flush(): Promise<void> {
    const segment = this.#open
    try {
      await segment?.file.sync()
    } catch (error) {
      throw ioError(`could not fsync file "${segment?.file.path ?? ''}"`, error)
    }
    this.#flushedLsn = this.#writtenLsn
  }

  /** Makes what there is durable, and leaves it. */
  async close(): Promise<void> {
    const segment = this.#open
    try {
      await this.flush()
    } finally {
      this.#open = undefined
      await segment?.file.close()
    }
  }

  #bytesLeftInSegment(): number {
    return this.#options.walSegmentSize - this.#offset()
  }

  #offset(): number {
    return Number(this.#writtenLsn % BigInt(this.#options.walSegmentSize))
  }

  async #writeInSegment(part: Buffer): Promise<void> {
    this.#open ??= await this.#createSegment()
    const { file, name } = this.#open
    try {
      await file.write(part)
    } catch (error) {
      throw ioError(`could not write ${part.length} bytes to WAL file "${file.path}"`, error)
    }
    this.#writtenLsn += BigInt(part.length)
    if (this.#offset() !== 0) return
    await this.close()
    await this.#options.files.markDone(name)
  }

  async #createSegment(): Promise<{ file: SegmentFile; name: WalFileName }> {
    const { files, walSegmentSize } = this.#options
    const segmentNumber = segmentHoldingStart(this.#writtenLsn, walSegmentSize)
    const name = walSegmentName(this.#timeline, segmentNumber, walSegmentSize)
    return { file: await files.createSegment(name, walSegmentSize), name }
  }
}
