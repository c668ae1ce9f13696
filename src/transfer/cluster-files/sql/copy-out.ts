import type { Connection } from 'pg'
import { throwIfAborted } from '../../../files/give-way.js'

/** Beyond this many bytes that nobody took yet, the server has to wait. */
const MOST_BYTES_WAITING = 1 << 20

/**
 * One COPY ... TO STDOUT, as the query object that `pg` hands the server's messages to. The data does not come this way:
 * who takes it out of the stream calls {@link CopyOut.push}.
 */
export class CopyOut {
  readonly #text: string
  readonly #release: (chunks: number) => void
  #connection: Connection | undefined
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** What the connection read, and the pieces are slices of: what nobody took yet, and what is being taken. */
  #chunksWaiting = 0
  #chunksOut = 0
  #isOver = false
  #error: unknown
  #wake: (() => void) | undefined

  /** @param release - is told how many chunks, in their order, are of no more use */
  constructor(text: string, release: (chunks: number) => void) {
    this.#text = text
    this.#release = release
  }

  /** A piece of the data. It is left alone until the chunk that it is a slice of is released. */
  push(piece: Buffer): void {
    this.#waiting.push(piece)
    this.#waitingBytes += piece.length
    if (this.#waitingBytes >= MOST_BYTES_WAITING) this.#connection?.stream.pause()
  }

  /** There are no more pieces in this chunk. */
  endChunk(): void {
    this.#chunksWaiting++
    this.#wake?.()
  }

  /**
   * The data, as much at a time as is there, in pieces that are valid until more is asked for. Memory for about
   * {@link MOST_BYTES_WAITING} is all it needs, however slow its taker.
   *
   * @throws what the server reported, the loss of the connection, or {@link PbManifestError} `ABORTED`
   */
  async *batches(signal: AbortSignal | undefined): AsyncGenerator<readonly Buffer[], void, undefined> {
    const wake = (): void => this.#wake?.()
    signal?.addEventListener('abort', wake)
    try {
      for (;;) {
        throwIfAborted(signal)
        const pieces = this.#takeWaiting()
        if (pieces.length > 0) yield pieces
        else if (this.#error !== undefined) throw this.#error
        else if (this.#isOver) return
        else await this.#nextMessage()
      }
    } finally {
      signal?.removeEventListener('abort', wake)
      // What is being taken, and what waits: the connection reads on, whoever uses it next.
      this.#takeWaiting()
      this.#takeWaiting()
    }
  }

  submit(connection: Connection): void {
    this.#connection = connection
    connection.query(this.#text)
  }

  handleError(error: unknown): void {
    // The first error counts: after a FATAL one the connection ends, which is reported too.
    this.#error ??= error
    this.#wake?.()
  }

  handleReadyForQuery(): void {
    this.#isOver = true
    this.#wake?.()
  }

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleCommandComplete(): void {}

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}

  #takeWaiting(): Buffer[] {
    const pieces = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    this.#releaseTaken()
    this.#connection?.stream.resume()
    return pieces
  }

  /** What was taken before has been used, and what has come since is taken now. */
  #releaseTaken(): void {
    this.#release(this.#chunksOut)
    this.#chunksOut = this.#chunksWaiting
    this.#chunksWaiting = 0
  }

  async #nextMessage(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }
}
