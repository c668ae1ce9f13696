import type { TransferListItem, Worker } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/give-way.js'
import { startThread } from '../threads/start-thread.js'
import type { ThreadAhead } from '../threads/thread-ahead.js'
import type { StartMessage } from '../threads/thread-start.js'

/** More threads would take memory, 15 MB each, and gain nothing: what they wait for is a disk or a network. */
const MAX_THREADS = 64

/** For so long, in milliseconds, a thread may go on with what it is doing when it is no longer wanted. */
const GRACE_MS = 10_000

/** What threads are started with. */
export interface ThreadPoolOptions<Start, Message> {
  /** What each of them runs. */
  readonly file: URL
  /** Becomes the first of them. */
  readonly ahead?: ThreadAhead | undefined
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
  readonly #workers: Worker[] = []
  readonly #ends: Promise<void>[] = []
  readonly #exits: Promise<unknown>[] = []
  #hasFailed = false

  constructor(options: ThreadPoolOptions<Start, Message>) {
    this.#options = options
  }

  /**
   * Starts threads until there are so many, or 64; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  growTo(count: number): void {
    while (this.#workers.length < Math.min(count, MAX_THREADS)) this.#start()
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
      Promise.all(this.#ends)
        .then(() => resolve(), reject)
        .finally(() => signal?.removeEventListener('abort', onAbort))
    })
  }

  /**
   * Asks the threads to end, and waits for it.
   *
   * They are not terminated: Node would do that in the middle of whatever they are at, and aws-crt ends the whole
   * process when that is its own loading. Only a thread that hangs, in a call of the system for example, is.
   */
  async close(): Promise<void> {
    this.#options.abandon()
    const timer = setTimeout(() => {
      for (const worker of this.#workers) void worker.terminate()
    }, GRACE_MS)
    await Promise.all(this.#exits)
    clearTimeout(timer)
  }

  #start(): void {
    const { file, ahead, start, transferList } = this.#options
    const worker = ahead?.take() ?? startThread(file)
    this.#workers.push(worker)
    const end = this.#follow(worker)
    // Whoever waits for the end is told; until then a failure must not count as unhandled.
    end.catch(() => {})
    this.#ends.push(end)
    this.#exits.push(new Promise((resolve) => worker.once('exit', resolve)))
    worker.postMessage({ type: 'start', start } satisfies StartMessage<Start>, transferList)
  }

  #follow(worker: Worker): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: unknown): void => {
        this.#hasFailed = true
        reject(reason)
      }
      worker.on('message', (message: Message | DoneMessage) => {
        if (message.type === 'done') return resolve()
        if (this.#hasFailed) return
        try {
          this.#options.onMessage(message as Message)
        } catch (error) {
          fail(error)
        }
      })
      worker.on('error', (cause: unknown) => {
        const reason = cause instanceof Error ? cause.message : String(cause)
        fail(new PbManifestError('IO', `a worker thread failed: ${reason}`, { cause }))
      })
      worker.on('exit', (status) => {
        reject(new PbManifestError('IO', `a worker thread ended unexpectedly with status ${status}`))
      })
    })
  }
}
