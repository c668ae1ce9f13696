import { Abandoned } from '../abandoned.js'
import type { ArchiveProgressBuffers } from './archive-messages.js'

const CLAIMED = 0
const IS_ABANDONED = 1

/** Which archives are taken and how much of them was read, by all threads. */
export class ArchiveProgress {
  readonly buffers: ArchiveProgressBuffers
  readonly #control: Int32Array
  readonly #bytes: BigInt64Array

  constructor(buffers: ArchiveProgressBuffers) {
    this.buffers = buffers
    this.#control = new Int32Array(buffers.control)
    this.#bytes = new BigInt64Array(buffers.bytes)
  }

  static allocate(): ArchiveProgress {
    return new ArchiveProgress({
      control: new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT),
      bytes: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
    })
  }

  /** Takes the next archive for this thread. */
  claim(): number {
    return Atomics.add(this.#control, CLAIMED, 1)
  }

  /** Says that nobody wants to know any more. */
  abandon(): void {
    Atomics.store(this.#control, IS_ABANDONED, 1)
  }

  get isAbandoned(): boolean {
    return Atomics.load(this.#control, IS_ABANDONED) === 1
  }

  /** Bytes of archives, as they are stored, that were read so far. */
  get bytes(): number {
    return Number(Atomics.load(this.#bytes, 0))
  }

  /**
   * Counts what passes.
   *
   * @throws {@link Abandoned}
   */
  *follow(chunks: Iterable<Buffer>): Generator<Buffer, void, undefined> {
    for (const chunk of chunks) {
      if (this.isAbandoned) throw new Abandoned()
      Atomics.add(this.#bytes, 0, BigInt(chunk.length))
      yield chunk
    }
  }
}
