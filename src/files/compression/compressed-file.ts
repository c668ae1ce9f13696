import { openRegularFile, readOpenedFile } from '../open-regular-file.js'
import type { Yielder } from '../yielder.js'
import type { Compression } from './compression.js'
import { loadDecompressor } from './decompressor.js'

/** Large enough that calls cost little, small enough to stay in the processor's cache. */
const BUFFER_BYTES = 256 * 1024

const NO_BYTES = Buffer.alloc(0)

/**
 * Reads what something was before it was compressed, at any position, and keeps one piece of it.
 *
 * It is decompressed from its beginning to where it is read; again from its beginning when that lies behind. So whoever
 * reads in the order of the file has it decompressed once.
 */
export class CompressedFile {
  readonly #begin: () => AsyncGenerator<Buffer, void, undefined>
  readonly #yielder: Yielder
  #chunks: AsyncGenerator<Buffer, void, undefined> | undefined
  #chunk: Buffer = NO_BYTES
  #chunkStart = 0
  /** What has ended the decompression. */
  #failure: unknown

  /** @param begin - gives what is decompressed, from its beginning */
  constructor(begin: () => AsyncGenerator<Buffer, void, undefined>, yielder: Yielder) {
    this.#begin = begin
    this.#yielder = yielder
  }

  /**
   * Fills the buffer with what begins at this position. To be called again only when that has settled.
   *
   * @returns how many bytes; fewer than the buffer takes only at the end
   * @throws `DamagedArchiveError`, `NotARegularFileError`, or the error of the system; {@link PbManifestError} `ABORTED`
   */
  async read(buffer: Buffer, position: number): Promise<number> {
    if (position < this.#chunkStart) await this.close()
    let length = 0
    while (length < buffer.length && (await this.#moveTo(position + length))) {
      length += this.#chunk.copy(buffer, length, position + length - this.#chunkStart)
    }
    return length
  }

  /** Closes the file; whoever reads on begins anew. */
  async close(): Promise<void> {
    const chunks = this.#chunks
    this.#chunks = undefined
    this.#chunk = NO_BYTES
    this.#chunkStart = 0
    this.#failure = undefined
    await chunks?.return()
  }

  /** Goes on to the piece that has this position; `false` when the file ends before. */
  async #moveTo(position: number): Promise<boolean> {
    while (position >= this.#chunkStart + this.#chunk.length) {
      if (this.#yielder.isDue) await this.#yielder.yield()
      const next = await this.#next()
      if (next === undefined) return false
      this.#chunkStart += this.#chunk.length
      this.#chunk = next
    }
    return true
  }

  async #next(): Promise<Buffer | undefined> {
    if (this.#failure !== undefined) throw this.#failure
    try {
      this.#chunks ??= this.#begin()
      const result = await this.#chunks.next()
      return result.done === true ? undefined : result.value
    } catch (error) {
      this.#failure = error
      throw error
    }
  }
}

/** What a file was before it was compressed. */
export async function* decompressFile(
  path: string,
  compression: Compression,
): AsyncGenerator<Buffer, void, undefined> {
  const decompressor = await loadDecompressor(compression)
  yield* decompressor(readOpenedFile(openRegularFile(path), Buffer.allocUnsafeSlow(BUFFER_BYTES)))
}
