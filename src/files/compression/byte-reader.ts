import { DamagedArchiveError } from '../damaged-archive-error.js'

const NO_BYTES = Buffer.alloc(0)

/** Takes a wanted number of bytes at a time from pieces of any size. */
export class ByteReader {
  readonly #chunks: Iterator<Buffer>
  #chunk: Buffer = NO_BYTES
  #at = 0

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks[Symbol.iterator]()
  }

  /** The next bytes, fewer at the end; good only until the next call. */
  take(count: number): Buffer {
    if (this.#at + count <= this.#chunk.length) return this.#takeFromChunk(count)
    const parts: Buffer[] = []
    for (let missing = count; missing > 0;) {
      if (this.#at === this.#chunk.length && !this.#next()) break
      const part = this.#takeFromChunk(Math.min(missing, this.#chunk.length - this.#at))
      // The next piece may come in the same memory.
      parts.push(Buffer.from(part))
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  /**
   * The next bytes, all of them.
   *
   * @throws {@link DamagedArchiveError}
   */
  require(count: number): Buffer {
    const bytes = this.take(count)
    if (bytes.length < count) throw endsTooEarly()
    return bytes
  }

  /**
   * Passes over bytes.
   *
   * @throws {@link DamagedArchiveError} when there are fewer
   */
  skip(count: number): void {
    for (let missing = count; missing > 0;) {
      if (this.#at === this.#chunk.length && !this.#next()) throw endsTooEarly()
      missing -= this.#takeFromChunk(Math.min(missing, this.#chunk.length - this.#at)).length
    }
  }

  /** Says that no more will be taken. */
  close(): void {
    this.#chunks.return?.()
  }

  #takeFromChunk(count: number): Buffer {
    this.#at += count
    return this.#chunk.subarray(this.#at - count, this.#at)
  }

  #next(): boolean {
    const result = this.#chunks.next()
    if (result.done === true) return false
    this.#chunk = result.value
    this.#at = 0
    return true
  }
}

function endsTooEarly(): DamagedArchiveError {
  return new DamagedArchiveError('its compressed data end too early')
}
