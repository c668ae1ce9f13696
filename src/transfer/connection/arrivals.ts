import type { Duplex } from 'node:stream'
import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net'
import { throwIfAborted } from '../../files/yielder.js'
import { WakeUp } from '../../threads/wake-up.js'
import { expectAnswer } from './answer-watch.js'

/** Beyond this many bytes that nobody took yet, the other side has to wait. */
const MOST_BYTES_WAITING = 1 << 20

/** What bytes arrive by. */
export interface Flow {
  pause(): void
  resume(): void
  /** So many chunks that were read, the oldest, are of no more use. */
  release(chunks: number): void
  /** Says that something has to come, until the function that it returns is called. */
  expect(): () => void
}

/** That of a socket, which may read into the same memory again and again. */
export function flowOf(socket: Duplex): Flow {
  return {
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    release: (chunks) => {
      if (socket instanceof ReusingSocket) socket.release(chunks)
    },
    expect: () => expectAnswer(socket),
  }
}

/** What arrives in answer to one request, from whoever reads the socket to whoever made the request. */
export class Arrivals<Item> {
  readonly #flow: Flow
  /** Resolves when the answer is complete, or the connection lost. */
  readonly over: Promise<void>
  #endWaiting: () => void = () => {}
  #items: Item[] = []
  #bytes = 0
  /** Chunks that the items are slices of: of what nobody took yet, and of what is being taken. */
  #chunksWaiting = 0
  #chunksOut = 0
  #isOver = false
  #isAbandoned = false
  #error: unknown
  readonly #wakeUp = new WakeUp()

  constructor(flow: Flow) {
    this.#flow = flow
    this.over = new Promise((resolve) => {
      this.#endWaiting = resolve
    })
  }

  /** @param bytes - so many of the chunk are left alone until the chunk is released */
  push(item: Item, bytes: number): void {
    if (this.#isAbandoned) return
    this.#items.push(item)
    this.#bytes += bytes
    if (this.#bytes >= MOST_BYTES_WAITING) this.#flow.pause()
  }

  /** There is nothing more in this chunk. */
  endChunk(): void {
    if (this.#isAbandoned) this.#flow.release(1)
    else this.#chunksWaiting++
    this.#wakeUp.wake()
  }

  /** The request has failed. The first error counts: after a fatal one, the loss of the connection is no news. */
  fail(error: unknown): void {
    this.#error ??= error
    this.#wakeUp.wake()
  }

  end(): void {
    this.#isOver = true
    this.#endWaiting()
    this.#wakeUp.wake()
  }

  /**
   * What has arrived, as much at a time as is there; it is valid until more is asked for. Memory for about
   * {@link MOST_BYTES_WAITING} is all it needs, however slow its consumer. Who leaves early does not hear the rest; the
   * connection reads on, whoever uses it next.
   *
   * @throws what {@link Arrivals.fail} was told, or {@link PbManifestError} `ABORTED`
   */
  async *batches(signal: AbortSignal | undefined): AsyncGenerator<readonly Item[], void, undefined> {
    const wake = (): void => this.#wakeUp.wake()
    signal?.addEventListener('abort', wake)
    try {
      for (;;) {
        throwIfAborted(signal)
        const items = this.#take()
        if (items.length > 0) yield items
        else if (this.#error !== undefined) throw this.#error
        else if (this.#isOver) return
        else await this.#more()
      }
    } finally {
      signal?.removeEventListener('abort', wake)
      this.#isAbandoned = true
      // What is being taken, and what waits.
      this.#take()
      this.#take()
    }
  }

  #take(): readonly Item[] {
    const items = this.#items
    this.#items = []
    this.#bytes = 0
    // What was taken before has been used.
    this.#flow.release(this.#chunksOut)
    this.#chunksOut = this.#chunksWaiting
    this.#chunksWaiting = 0
    this.#flow.resume()
    return items
  }

  async #more(): Promise<void> {
    const hasCome = this.#flow.expect()
    await this.#wakeUp.wait()
    hasCome()
  }
}

/** A read gives what the kernel has, at most this. */
const BUFFER_BYTES = 512 * 1024

/** One is filled while the other is being taken. */
const BUFFERS = 2

/**
 * A socket that reads into the same memory again and again. Node takes fresh memory for each read, and touching that for
 * the first time, and giving it back, costs more than everything else that is done with the bytes.
 *
 * At first it emits `data` as any socket, with bytes of their own. Once {@link ReusingSocket.reuse} was called they are
 * slices of its own memory, and each has to be given back by {@link ReusingSocket.release}, in their order. While all its
 * memory is out it does not read, so who calls `resume` need not know.
 */
export class ReusingSocket extends Socket {
  #isReusing = false
  #chunksOut = 0

  constructor() {
    const buffers = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(BUFFER_BYTES))
    let next = 0
    // The constructor takes what `net.connect` takes; its type leaves it out.
    const options: SocketConstructorOpts & ConnectOpts = {
      onread: {
        // Asked for the next one after each read: by then the oldest has been given back, or reading stops.
        buffer: () => buffers[next++ % BUFFERS] as Buffer,
        callback: (bytes, buffer) => this.#take(Buffer.from(buffer.buffer, buffer.byteOffset, bytes)),
      },
    }
    super(options)
  }

  /** From now on, `data` has slices of memory that is used again. */
  reuse(): void {
    this.#isReusing = true
  }

  /** Gives back the oldest slices; `resume` is due afterwards. */
  release(chunks: number): void {
    // Those from before were nobody's to give back.
    this.#chunksOut = Math.max(0, this.#chunksOut - chunks)
  }

  override resume(): this {
    return this.#mayRead ? super.resume() : this
  }

  get #mayRead(): boolean {
    return this.#chunksOut < BUFFERS
  }

  /** Returns whether there may be another read. */
  #take(bytes: Buffer): boolean {
    if (this.#isReusing) this.#chunksOut++
    this.emit('data', this.#isReusing ? bytes : Buffer.from(bytes))
    return this.#mayRead && !this.isPaused()
  }
}
