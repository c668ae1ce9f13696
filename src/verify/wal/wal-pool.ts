import { SHARE_ENV, Worker, type WorkerOptions } from 'node:worker_threads'
import { PbManifestError } from '../../errors.js'
import { throwIfAborted } from '../../files/give-way.js'
import type { PartWalked, StartWalking } from './wal-messages.js'
import type { PartResult } from './walk-part.js'

const workerFile = new URL('wal-worker.js', import.meta.url)

/** Threads that read the parts of one run of segments, the first part first. */
export class WalPool {
  readonly #workers: Worker[] = []
  readonly #results = new Map<number, PartResult>()
  readonly #signal: AbortSignal | undefined
  #failure: PbManifestError | undefined
  #running = 0
  #wake: () => void = () => {}

  /**
   * Starts the threads; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  constructor(start: Omit<StartWalking, 'taken'>, threads: number, signal: AbortSignal | undefined) {
    this.#signal = signal
    const taken = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    // The options of the process are for its own program: `--input-type` would keep a thread from starting.
    const options: WorkerOptions = { workerData: { ...start, taken }, env: SHARE_ENV, execArgv: [] }
    try {
      while (this.#workers.length < threads) this.#workers.push(new Worker(workerFile, options))
    } catch (cause) {
      // Nobody gets hold of this pool, so nobody else can end the threads that have started.
      for (const worker of this.#workers) void worker.terminate()
      throw failureOf('could not start a worker thread', cause)
    }
    this.#running = this.#workers.length
    for (const worker of this.#workers) this.#follow(worker)
  }

  /**
   * Waits for what comes of a part.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
   */
  async resultOf(index: number): Promise<PartResult> {
    const onAbort = (): void => this.#wake()
    this.#signal?.addEventListener('abort', onAbort)
    try {
      for (;;) {
        throwIfAborted(this.#signal)
        const result = this.#results.get(index)
        this.#results.delete(index)
        if (result !== undefined) return result
        if (this.#failure !== undefined) throw this.#failure
        if (this.#running === 0) throw new PbManifestError('IO', 'worker threads ended without a result')
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.#signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends the threads, whatever they are doing, and waits for it. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #follow(worker: Worker): void {
    worker.on('message', ({ index, result }: PartWalked) => {
      this.#results.set(index, result)
      this.#wake()
    })
    worker.on('error', (cause: unknown) => this.#fail(failureOf('a worker thread failed', cause)))
    worker.on('exit', (status) => {
      this.#running--
      if (status === 0) this.#wake()
      else this.#fail(new PbManifestError('IO', `a worker thread ended unexpectedly with status ${status}`))
    })
  }

  #fail(failure: PbManifestError): void {
    this.#failure ??= failure
    this.#wake()
  }
}

function failureOf(what: string, cause: unknown): PbManifestError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PbManifestError('IO', `${what}: ${reason}`, { cause })
}
