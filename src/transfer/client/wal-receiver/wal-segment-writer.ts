import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PbManifestError } from '../../../errors.js'
import { writeFully, writeNewFile } from '../../../files/durable-file.js'
import { ioError } from '../../../files/system-error.js'
import { formatLsn } from '../../../postgres/lsn.js'
import type { WalFileName } from '../../../postgres/wal-file-name.js'
import { segmentHoldingStart, walSegmentName } from '../../../postgres/wal-segment.js'

export interface WalFileOptions {
  /** The pg_wal of the backup; it and its `archive_status` are there. */
  readonly directory: string
  readonly walSegmentSize: number
  /** 0600, or 0640 where the server's group may read. */
  readonly fileMode: number
  /** Whether a segment is durable before it counts as flushed. */
  readonly sync: boolean
}

/**
 * Writes WAL into segment files as pg_basebackup does: under their own names at once, of full size, zeros after the last
 * byte. A finished segment gets its `.done`, so that a server that starts on the backup does not archive it again.
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
  #open: { readonly handle: FileHandle; readonly path: string; readonly name: WalFileName } | undefined

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
      if (this.#options.sync) await segment?.handle.sync()
    } catch (error) {
      throw ioError(`could not fsync file "${segment?.path ?? ''}"`, error)
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
      await segment?.handle.close()
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
    const { handle, path, name } = this.#open
    try {
      await writeFully(handle, part)
    } catch (error) {
      throw ioError(`could not write ${part.length} bytes to WAL file "${path}"`, error)
    }
    this.#writtenLsn += BigInt(part.length)
    if (this.#offset() !== 0) return
    await this.close()
    await markDone(this.#options, name)
  }

  async #createSegment(): Promise<{ handle: FileHandle; path: string; name: WalFileName }> {
    const { directory, walSegmentSize, fileMode } = this.#options
    const segmentNumber = segmentHoldingStart(this.#writtenLsn, walSegmentSize)
    const name = walSegmentName(this.#timeline, segmentNumber, walSegmentSize)
    const path = join(directory, name)
    let handle: FileHandle | undefined
    try {
      handle = await open(path, 'wx', fileMode)
      // Against the umask. The size at once, so that the file never has another.
      await handle.chmod(fileMode)
      await handle.truncate(walSegmentSize)
      return { handle, path, name }
    } catch (error) {
      await handle?.close()
      throw ioError(`could not create WAL file "${path}"`, error)
    }
  }
}

/**
 * Writes a whole file of pg_wal that came in another way than by a stream: a timeline history file. It is marked as
 * archived, as the server's own base backup does.
 */
export async function writeWalFile(
  options: Omit<WalFileOptions, 'walSegmentSize'>,
  name: WalFileName,
  content: Buffer,
): Promise<void> {
  const { directory, fileMode, sync } = options
  await writeNewFile(join(directory, name), [content], { mode: fileMode, sync })
  await markDone(options, name)
}

/** Tells the archiver of the server that starts on the backup that this file of pg_wal is archived already. */
export async function markDone(
  options: Pick<WalFileOptions, 'directory' | 'fileMode'>,
  name: WalFileName,
): Promise<void> {
  const path = join(options.directory, 'archive_status', `${name}.done`)
  try {
    await writeFile(path, '', { flag: 'wx', mode: options.fileMode })
  } catch (error) {
    throw ioError(`could not create file "${path}"`, error)
  }
}
