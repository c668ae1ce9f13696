import { throwIfAborted } from '../../../files/give-way.js'
import type { Answer } from './backend-message.js'

/** Beyond this many bytes that nobody took yet, the agent has to wait. */
const MOST_BYTES_WAITING = 1 << 20

/** What the answers come by. */
export interface Flow {
  pause(): void
  resume(): void
  /** So many chunks that were read, the oldest, are of no more use. */
  release(chunks: number): void
}

/** One command and what is answered to it, from the connection that hears it to whoever asked. */
export class Exchange {
  readonly #flow: Flow
  /** Resolves when the connection is ready for another command, or lost. */
  readonly over: Promise<void>
  #endWaiting: () => void = () => {}
  #answers: Answer[] = []
  #bytes = 0
  /** Chunks that the answers are slices of: of what nobody took yet, and of what is being taken. */
  #chunksWaiting = 0
  #chunksOut = 0
  #isOver = false
  #isAbandoned = false
  #error: unknown
  #wake: (() => void) | undefined

  constructor(flow: Flow) {
    this.#flow = flow
    this.over = new Promise((resolve) => {
      this.#endWaiting = resolve
    })
  }

  push(answer: Answer): void {
    if (this.#isAbandoned) return
    this.#answers.push(answer)
    if (answer.type === 'data') this.#bytes += answer.bytes.length
    if (this.#bytes >= MOST_BYTES_WAITING) this.#flow.pause()
  }

  /** There are no more answers in this chunk. */
  endChunk(): void {
    if (this.#isAbandoned) this.#flow.release(1)
    else this.#chunksWaiting++
    this.#wake?.()
  }

  /** The command has failed. The first error counts: after a fatal one, the loss of the connection is no news. */
  fail(error: unknown): void {
    this.#error ??= error
    this.#wake?.()
  }

  end(): void {
    this.#isOver = true
    this.#endWaiting()
    this.#wake?.()
  }

  /**
   * What is answered, as much at a time as is there; data is valid until more is asked for. Memory for about
   * {@link MOST_BYTES_WAITING} is all that files need, however slow their taker. Who leaves early does not hear the rest;
   * the connection stays in step.
   *
   * @throws what the agent reported, the loss of the connection, or {@link PbManifestError} `ABORTED`
   */
  async *answers(signal: AbortSignal | undefined): AsyncGenerator<readonly Answer[], void, undefined> {
    const wake = (): void => this.#wake?.()
    signal?.addEventListener('abort', wake)
    try {
      for (;;) {
        throwIfAborted(signal)
        const answers = this.#take()
        if (answers.length > 0) yield answers
        else if (this.#error !== undefined) throw this.#error
        else if (this.#isOver) return
        else await this.#more()
      }
    } finally {
      signal?.removeEventListener('abort', wake)
      this.#isAbandoned = true
      this.#take()
      this.#take()
    }
  }

  #take(): readonly Answer[] {
    const answers = this.#answers
    this.#answers = []
    this.#bytes = 0
    // What was taken before has been used.
    this.#flow.release(this.#chunksOut)
    this.#chunksOut = this.#chunksWaiting
    this.#chunksWaiting = 0
    this.#flow.resume()
    return answers
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }
}
