import { SHARE_ENV, type TransferListItem, Worker, type WorkerOptions } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/give-way.js'

/** More threads would take memory, 15 MB each, and gain nothing: what they wait for is a disk or a network. */
const MAX_THREADS = 64

/** What threads are started with. */
export interface ThreadPoolOptions<Message> {
  /** What each of them runs. */
  readonly file: URL
  readonly count: number
  readonly workerData: unknown
  readonly transferList?: TransferListItem[]
  /** Is told of every message but the last of a thread, which is `done`. What it throws fails the pool. */
  readonly onMessage: (message: Message) => void
}

/** The last message of each thread. */
export interface DoneMessage {
  readonly type: 'done'
}

/** Threads that do one work together, from the moment at which the pool is made. */
export class ThreadPool<Message extends { readonly type: string }> {
  readonly #workers: Worker[] = []
  readonly #onMessage: (message: Message) => void
  readonly #end: Promise<unknown>
  #hasFailed = false

  /**
   * Starts the threads; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  constructor({ file, count, workerData, transferList, onMessage }: ThreadPoolOptions<Message>) {
    this.#onMessage = onMessage
    // The options of the process are for its own program: `--input-type` would keep a thread from starting.
    const options: WorkerOptions = { workerData, env: SHARE_ENV, execArgv: [] }
    if (transferList !== undefined) options.transferList = transferList
    try {
      while (this.#workers.length < Math.min(count, MAX_THREADS)) {
        this.#workers.push(new Worker(file, options))
      }
    } catch (cause) {
      // Nobody gets hold of this pool, so nobody else can end the threads that have started.
      for (const worker of this.#workers) void worker.terminate()
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new PbManifestError('IO', `could not start a worker thread: ${reason}`, { cause })
    }
    this.#end = Promise.all(this.#workers.map((worker) => this.#follow(worker)))
    // Whoever waits for the end is told; until then a failure must not count as unhandled.
    this.#end.catch(() => {})
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
      this.#end.then(() => resolve(), reject).finally(() => signal?.removeEventListener('abort', onAbort))
    })
  }

  /** Ends the threads, whatever they are doing, and waits for it. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
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
          this.#onMessage(message as Message)
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
