import { PbManifestError } from '../../errors.js'
import { SupervisedThread } from '../../threads/supervised-thread.js'
import { SharedCount } from '../../threads/wake-up.js'
import { inlineStreams, type Sha256Stream, type Sha256Streams } from './sha256-stream.js'
import {
  allocateRing,
  COMMAND_NUMBERS,
  commandTypes,
  DONE,
  PLACE_BYTES,
  PLACES,
  WRITTEN,
} from './sha256-ring.js'

const workerFile = new URL('sha256-worker.js', import.meta.url)

/** Starting a thread takes as long as hashing so many bytes. */
const THREAD_BYTES = 16 * 1024 * 1024

/** A thread that does nothing for so long, in milliseconds, has died. */
const PATIENCE_MS = 30_000

type CommandType = (typeof commandTypes)[keyof typeof commandTypes]

/** Hashes in a thread when there is so much to hash that this saves time, and a thread is to be had; else at once. */
export function createSha256Streams(expectedBytes: number): Sha256Streams {
  if (expectedBytes < THREAD_BYTES) return inlineStreams
  try {
    return new BackgroundSha256()
  } catch {
    return inlineStreams
  }
}

/**
 * SHA-256 in a thread of its own, of several streams of bytes.
 *
 * The bytes go through a ring in shared memory. When that is full, and for a digest, the caller waits without giving way:
 * for milliseconds, because hashing is about as fast as what it does meanwhile.
 */
class BackgroundSha256 implements Sha256Streams {
  readonly #thread: SupervisedThread<never, never>
  readonly #written: SharedCount
  readonly #done: SharedCount
  readonly #commands: Int32Array
  readonly #bytes: Buffer
  readonly #digestBytes: Buffer
  #streams = 0
  #failure: PbManifestError | undefined

  constructor() {
    const ring = allocateRing()
    const control = new Int32Array(ring.control)
    this.#written = new SharedCount(control, WRITTEN)
    this.#done = new SharedCount(control, DONE)
    this.#commands = new Int32Array(ring.commands)
    this.#bytes = Buffer.from(ring.bytes)
    this.#digestBytes = Buffer.from(ring.digest)
    this.#thread = new SupervisedThread(workerFile, { workerData: ring })
    this.#thread.watch({
      onMessage: () => {},
      onFailure: (error) => {
        this.#failure = error
      },
    })
  }

  create(): Sha256Stream {
    const stream = this.#streams++
    return {
      update: (bytes) => {
        for (let at = 0; at < bytes.length; at += PLACE_BYTES) {
          this.#update(stream, bytes.subarray(at, at + PLACE_BYTES))
        }
      },
      copy: () => {
        // The next one is the one that `create` makes.
        this.#command(commandTypes.copy, this.#streams, stream)
        return this.create()
      },
      drop: () => this.#command(commandTypes.drop, stream),
      digest: () => this.#digest(stream),
    }
  }

  async close(): Promise<void> {
    this.#thread.markDone()
    this.#command(commandTypes.close, 0)
    await this.#thread.exit
  }

  #update(stream: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, PLACE_BYTES * this.#waitForPlace())
    this.#command(commandTypes.update, stream, bytes.length)
  }

  #digest(stream: number): string {
    this.#command(commandTypes.digest, stream)
    this.#waitWhile((undone) => undone > 0)
    return this.#digestBytes.toString('hex')
  }

  #command(type: CommandType, stream: number, number = 0): void {
    this.#commands.set([type, stream, number], COMMAND_NUMBERS * this.#waitForPlace())
    this.#written.add()
  }

  /** The place of the next command, when it is free. */
  #waitForPlace(): number {
    this.#waitWhile((undone) => undone >= PLACES)
    return (this.#written.value >>> 0) % PLACES
  }

  #waitWhile(isTooMuch: (undone: number) => boolean): void {
    for (;;) {
      const done = this.#done.value
      if (!isTooMuch((this.#written.value - done) | 0)) return
      if (this.#failure !== undefined) throw this.#failure
      if (!this.#done.sleepWhile(done, PATIENCE_MS)) {
        throw new PbManifestError('IO', 'the thread that computes SHA-256 does not answer')
      }
    }
  }
}
