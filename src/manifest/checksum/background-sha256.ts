import { SHARE_ENV, Worker } from 'node:worker_threads'
import { PbManifestError } from '../../errors.js'
import type { HashBuffers, HashMessage, HashReply } from './sha256-messages.js'
import type { Sha256Stream, Sha256Streams } from './sha256-stream.js'

const workerFile = new URL('sha256-worker.js', import.meta.url)

const SLOTS = 16
const SLOT_BYTES = 256 * 1024

/** A thread that does not take a piece for so long, in milliseconds, has died. */
const PATIENCE_MS = 60_000

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
  readonly #waiting = new Map<number, (checksum: string | PbManifestError) => void>()
  #slot = 0
  #streams = 0
  #failure: PbManifestError | undefined

  constructor() {
    const buffers: HashBuffers = {
      memory: new SharedArrayBuffer(SLOTS * SLOT_BYTES),
      isFull: new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT),
      slotBytes: SLOT_BYTES,
    }
    this.#memory = Buffer.from(buffers.memory)
    this.#isFull = new Int32Array(buffers.isFull)
    this.#worker = new Worker(workerFile, { workerData: buffers, env: SHARE_ENV, execArgv: [] })
    this.#worker.on('message', ({ stream, checksum }: HashReply) => this.#waiting.get(stream)?.(checksum))
    this.#worker.on('error', (cause) => this.#fail(cause))
    this.#worker.on('exit', () => this.#fail(undefined))
  }

  create(): Sha256Stream {
    const stream = this.#streams++
    return {
      update: (bytes) => {
        for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
          this.#hash(stream, bytes.subarray(at, at + SLOT_BYTES))
        }
      },
      digest: () => this.#digest(stream),
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #hash(stream: number, bytes: Uint8Array): void {
    const slot = this.#slot
    this.#slot = (slot + 1) % SLOTS
    if (Atomics.wait(this.#isFull, slot, 1, PATIENCE_MS) === 'timed-out') throw threadError(undefined)
    this.#memory.set(bytes, slot * SLOT_BYTES)
    Atomics.store(this.#isFull, slot, 1)
    this.#post({ stream, slot, length: bytes.length })
  }

  #digest(stream: number): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      this.#waiting.set(stream, (result) => (typeof result === 'string' ? resolve(result) : reject(result)))
      this.#post({ stream })
    })
  }

  #fail(cause: unknown): void {
    this.#failure = threadError(cause)
    for (const tell of this.#waiting.values()) tell(this.#failure)
  }

  #post(message: HashMessage): void {
    this.#worker.postMessage(message)
  }
}

function threadError(cause: unknown): PbManifestError {
  const reason = cause instanceof Error ? `: ${cause.message}` : ''
  return new PbManifestError('IO', `the thread that computes SHA-256 ended unexpectedly${reason}`, { cause })
}
