import type { TransferListItem } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/yielder.js'
import type { PrestartedThread } from '../threads/prestarted-thread.js'
import { type StartMessage, SupervisedThread } from '../threads/supervised-thread.js'

/** More threads would take memory, 15 MB each, and gain nothing: what they wait for is a disk or a network. */
const MAX_THREADS = 64

/** What threads are started with. */
export interface ThreadPoolOptions<Start, Message> {
  /** What each of them runs. */
  readonly file: URL
  /** Becomes the first of them. */
  readonly prestarted?: PrestartedThread<StartMessage<Start>, Message | DoneMessage> | undefined
  /** What each of them is to do. */
  readonly start: Start
  readonly transferList?: TransferListItem[]
  /** Is told of every message but the last of a thread, which is `done`. What it throws fails the pool. */
  readonly onMessage: (message: Message) => void
  /** Tells the threads, through memory that they share, that nobody waits for them any more. */
  readonly abandon: () => void
}

/** The last message of each thread. */
export interface DoneMessage {
  readonly type: 'done'
}

/** Threads that do one work together. */
export class ThreadPool<Start, Message extends { readonly type: string }> {
  readonly #options: ThreadPoolOptions<Start, Message>
  readonly #threads: SupervisedThread<StartMessage<Start>, Message | DoneMessage>[] = []
  readonly #ends: Promise<void>[] = []
  #hasFailed = false

  constructor(options: ThreadPoolOptions<Start, Message>) {
    this.#options = options
  }

  /** How many threads were started. */
  get size(): number {
    return this.#threads.length
  }

  /**
   * Starts threads until there are so many, or 64; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  growTo(count: number): void {
    while (this.#threads.length < Math.min(count, MAX_THREADS)) this.#start()
  }

  /**
   * Waits until all threads are done.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies; what `onMessage` throws
   */
  async finish(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(new PbManifestError('ABORTED', 'aborted'))
      signal?.addEventListener('abort', onAbort)
      this.#allEnds()
        .then(() => resolve(), reject)
        .finally(() => signal?.removeEventListener('abort', onAbort))
    })
  }

  /** Also of threads that are started while others are waited for. */
  async #allEnds(): Promise<void> {
    for (let awaited = 0; awaited < this.#ends.length;) {
      awaited = this.#ends.length
      await Promise.all(this.#ends)
    }
  }

  /** Asks the threads to end, and waits for it. */
  async close(): Promise<void> {
    this.#options.abandon()
    await Promise.all(this.#threads.map((thread) => thread.waitFor(thread.exit)))
  }

  #start(): void {
    const { file, prestarted, start, transferList } = this.#options
    const thread = prestarted?.take() ?? new SupervisedThread(file)
    this.#threads.push(thread)
    const end = this.#follow(thread)
    // Whoever waits for the end is told; until then a failure must not count as unhandled.
    end.catch(() => {})
    this.#ends.push(end)
    thread.post({ type: 'start', start }, transferList)
  }

  /** Settles when the thread is done, or nothing more is to be expected of it. */
  #follow(thread: SupervisedThread<StartMessage<Start>, Message | DoneMessage>): Promise<void> {
    return new Promise((resolve, reject) => {
      const onFailure = (reason: unknown): void => {
        this.#hasFailed = true
        reject(reason)
      }
      const onMessage = (message: Message | DoneMessage): void => {
        if (message.type === 'done') {
          thread.markDone()
          return resolve()
        }
        if (this.#hasFailed) return
        try {
          this.#options.onMessage(message as Message)
        } catch (error) {
          onFailure(error)
        }
      }
      thread.watch({ onMessage, onFailure })
    })
  }
}
