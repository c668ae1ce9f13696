import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net'

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
