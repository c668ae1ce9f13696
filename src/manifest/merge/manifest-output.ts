import type { LsnDigits } from '../../postgres/lsn.js'
import { DurableFile } from '../../files/durable-file.js'
import { inlineStreams, type Sha256Stream } from '../checksum/sha256-stream.js'
import {
  formatListSeparator,
  formatManifestChecksum,
  formatManifestHeader,
  formatWalRanges,
} from '../manifest-parts.js'
import type { ManifestHeader, WalRange } from '../model.js'

const BUFFER_BYTES = 1024 * 1024

/** A buffer that holds more is written. */
const FULL_BYTES = BUFFER_BYTES / 2

const firstSeparator = Buffer.from(formatListSeparator(true))
const nextSeparator = Buffer.from(formatListSeparator(false))

/** The bytes from `start` to before `end`. */
interface FileLine {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/**
 * Writes a manifest's file, entry by entry, with its own checksum; it appears whole or not at all.
 *
 * Whoever creates one calls `commit` or `discard`.
 */
export class ManifestOutput {
  readonly #file: DurableFile
  readonly #hash: Sha256Stream
  #buffer: Buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #view = viewOf(this.#buffer)
  #used = 0
  #isFirst = true
  /** What a line was copied from last. */
  #source: Buffer | undefined
  #sourceView = this.#view
  /** While one is written, the other is filled. */
  #spare: Buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: DurableFile, hash: Sha256Stream) {
    this.#file = file
    this.#hash = hash
  }

  /**
   * @param hash - for the manifest's own checksum
   * @throws {@link PbManifestError} `IO`, as do the other methods but `discard`
   */
  static async create(
    path: string,
    header: ManifestHeader,
    hash: Sha256Stream = inlineStreams.create(),
  ): Promise<ManifestOutput> {
    const output = new ManifestOutput(await DurableFile.create(path), hash)
    output.#add(Buffer.from(formatManifestHeader(header)))
    return output
  }

  /**
   * Adds a file's entry as it stands on its line.
   *
   * After at most half a megabyte of entries, {@link makeRoom} is due.
   */
  addLine({ bytes, start, end }: FileLine): void {
    const separator = this.#isFirst ? firstSeparator : nextSeparator
    this.#isFirst = false
    if (this.#used + separator.length + end - start > BUFFER_BYTES) throw new RangeError('no room was made')
    for (const byte of separator) this.#buffer[this.#used++] = byte
    if (this.#source !== bytes) {
      this.#source = bytes
      this.#sourceView = viewOf(bytes)
    }
    copyWords(this.#sourceView, start, end, this.#view, this.#used)
    this.#used += end - start
  }

  /** Has what was added written. Returns a promise only when there is something to wait for. */
  makeRoom(): Promise<void> | undefined {
    return this.#used < FULL_BYTES ? undefined : this.#flush()
  }

  /**
   * Adds the rest and makes the file durable under its name.
   *
   * @returns the manifest's own checksum
   */
  async commit(walRanges: readonly WalRange[], lsnDigits: LsnDigits): Promise<string> {
    await this.#flush()
    this.#add(Buffer.from(formatWalRanges(walRanges, lsnDigits)))
    await this.#flush()
    await this.#writing
    const checksum = this.#hash.digest()
    await this.#file.write(Buffer.from(formatManifestChecksum(checksum)))
    await this.#file.commit()
    return checksum
  }

  async discard(): Promise<void> {
    // That this write failed as well matters no more.
    await this.#writing.catch(() => {})
    await this.#file.discard()
  }

  #add(bytes: Buffer): void {
    this.#used += bytes.copy(this.#buffer, this.#used)
  }

  async #flush(): Promise<void> {
    await this.#writing
    const full = this.#buffer.subarray(0, this.#used)
    this.#hash.update(full)
    this.#writing = this.#file.write(full)
    // Whoever waits for it next hears of it.
    this.#writing.catch(() => {})
    const written = this.#buffer
    this.#buffer = this.#spare
    this.#view = viewOf(this.#buffer)
    this.#spare = written
    this.#used = 0
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length)
}

/** Copies the bytes from `start` to before `end`: of a hundred bytes, a call of `copy` takes as long as everything else. */
function copyWords(source: DataView, start: number, end: number, target: DataView, place: number): void {
  let at = start
  let to = place
  for (; at + 4 <= end; at += 4, to += 4) target.setInt32(to, source.getInt32(at))
  for (; at < end; at++, to++) target.setUint8(to, source.getUint8(at))
}
