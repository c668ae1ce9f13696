import { SHARE_ENV, Worker } from 'node:worker_threads'
import { PbManifestError } from '../../errors.js'
import type { HashBuffers, HashMessage } from './sha256-messages.js'
import type { Sha256Stream, Sha256Streams } from './sha256-stream.js'

const workerFile = new URL('sha256-worker.js', import.meta.url)

const SLOTS = 16
const SLOT_BYTES = 256 * 1024
const SHA256_BYTES = 32

/** A thread that does not take a piece for so long, in milliseconds, has died. */
const PATIENCE_MS = 30_000

/**
 * SHA-256 in a thread of its own, of several streams of bytes.
 *
 * The bytes go through slots of shared memory. When all are full, the caller waits: hashing is slower than what it does
 * meanwhile only for moments.
 */
export class BackgroundSha256 implements Sha256Streams {
  readonly #worker: Worker
  readonly #memory: Buffer
  /** Int32, one for each slot: 1 while its bytes are to be hashed. */
  readonly #isFull: Int32Array
  readonly #isDigested: Int32Array
  readonly #digestBytes: Buffer
  #slot = 0
  #streams = 0

  constructor() {
    const buffers: HashBuffers = {
      memory: new SharedArrayBuffer(SLOTS * SLOT_BYTES),
      isFull: new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT),
      isDigested: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
      digest: new SharedArrayBuffer(SHA256_BYTES),
      slotBytes: SLOT_BYTES,
    }
    this.#memory = Buffer.from(buffers.memory)
    this.#isFull = new Int32Array(buffers.isFull)
    this.#isDigested = new Int32Array(buffers.isDigested)
    this.#digestBytes = Buffer.from(buffers.digest)
    this.#worker = new Worker(workerFile, { workerData: buffers, env: SHARE_ENV, execArgv: [] })
    // Whoever waits for it notices.
    this.#worker.on('error', () => {})
  }

  create(): Sha256Stream {
    const stream = this.#streams++
    return {
      update: (bytes) => {
        for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
          this.#hash(stream, bytes.subarray(at, at + SLOT_BYTES))
        }
      },
      copy: () => {
        // The next one is the one that `create` makes.
        this.#post({ type: 'copy', stream: this.#streams, of: stream })
        return this.create()
      },
      drop: () => this.#post({ type: 'drop', stream }),
      digest: () => this.#digest(stream),
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #hash(stream: number, bytes: Uint8Array): void {
    const slot = this.#slot
    this.#slot = (slot + 1) % SLOTS
    this.#wait(this.#isFull, slot, 1)
    this.#memory.set(bytes, slot * SLOT_BYTES)
    Atomics.store(this.#isFull, slot, 1)
    this.#post({ type: 'update', stream, slot, length: bytes.length })
  }

  /** Waits without giving way: for what is in the slots, a few milliseconds. */
  #digest(stream: number): string {
    Atomics.store(this.#isDigested, 0, 0)
    this.#post({ type: 'digest', stream })
    this.#wait(this.#isDigested, 0, 0)
    return this.#digestBytes.toString('hex')
  }

  #wait(flags: Int32Array, index: number, value: number): void {
    if (Atomics.wait(flags, index, value, PATIENCE_MS) === 'timed-out') {
      throw new PbManifestError('IO', 'the thread that computes SHA-256 does not answer')
    }
  }

  #post(message: HashMessage): void {
    this.#worker.postMessage(message)
  }
}
