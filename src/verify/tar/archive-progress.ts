import type { ArchiveProgressBuffers } from './archive-messages.js'

/** Which archives are taken and how much of them was read, by all threads. */
export class ArchiveProgress {
  readonly buffers: ArchiveProgressBuffers
  readonly #claimed: Int32Array
  readonly #bytes: BigInt64Array

  constructor(buffers: ArchiveProgressBuffers) {
    this.buffers = buffers
    this.#claimed = new Int32Array(buffers.claimed)
    this.#bytes = new BigInt64Array(buffers.bytes)
  }

  static allocate(): ArchiveProgress {
    return new ArchiveProgress({
      claimed: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
      bytes: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
    })
  }

  /** Takes the next archive for this thread. */
  claim(): number {
    return Atomics.add(this.#claimed, 0, 1)
  }

  /** Bytes of archives, as they are stored, that were read so far. */
  get bytes(): number {
    return Number(Atomics.load(this.#bytes, 0))
  }

  /** Counts what passes. */
  *follow(chunks: Iterable<Buffer>): Generator<Buffer, void, undefined> {
    for (const chunk of chunks) {
      Atomics.add(this.#bytes, 0, BigInt(chunk.length))
      yield chunk
    }
  }
}
