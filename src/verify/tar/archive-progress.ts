import { Claims } from '../../threads/claims.js'
import type { SharedRate } from '../../threads/shared-rate.js'
import type { ArchiveProgressBuffers } from './archive-messages.js'

/** Which archives are taken and how much of them was read, by all threads. */
export class ArchiveProgress {
  readonly buffers: ArchiveProgressBuffers
  readonly claims: Claims
  readonly #bytes: BigInt64Array
  readonly #rate: SharedRate | undefined

  constructor(buffers: ArchiveProgressBuffers = allocate(), rate?: SharedRate) {
    this.#rate = rate
    this.buffers = buffers
    this.claims = new Claims(buffers.claims)
    this.#bytes = new BigInt64Array(buffers.bytes)
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
      this.claims.throwIfAbandoned()
      Atomics.add(this.#bytes, 0, BigInt(chunk.length))
      this.#rate?.takeSleeping(chunk.length, () => this.claims.throwIfAbandoned())
      yield chunk
    }
  }
}

function allocate(): ArchiveProgressBuffers {
  return { claims: new Claims().buffer, bytes: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT) }
}
