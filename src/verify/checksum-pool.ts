import { SHARE_ENV, Worker, type WorkerOptions } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/give-way.js'
import type { FileFinding, StartChecking, WorkerMessage } from './checksum-messages.js'

const workerFile = new URL('checksum-worker.js', import.meta.url)

/** A thread for fewer bytes of manifest (about 25 files) costs more than it helps. */
const MANIFEST_BYTES_PER_WORKER = 4096

/** More threads would take memory, 15 MB each, and gain nothing: what they wait for is a disk or a network. */
const MAX_WORKERS = 64

/** Threads that check the files of one queue, from the moment at which the pool is made. */
export class ChecksumPool {
  readonly #workers: Worker[] = []
  readonly #findings = new Map<number, FileFinding>()
  readonly #end: Promise<unknown>

  /**
   * Starts the threads; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  constructor(start: StartChecking, jobs: number, manifestBytes: number) {
    const count = Math.min(jobs, MAX_WORKERS, Math.ceil(manifestBytes / MANIFEST_BYTES_PER_WORKER) || 1)
    // The options of the process are for its own program: `--input-type` would keep a thread from starting.
    const options: WorkerOptions = { workerData: start, env: SHARE_ENV, execArgv: [] }
    try {
      while (this.#workers.length < count) this.#workers.push(new Worker(workerFile, options))
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

  /** What a thread found at this place of the queue; `undefined` when it has not arrived. */
  finding(place: number): FileFinding | undefined {
    return this.#findings.get(place)
  }

  /**
   * Waits until the queue is empty and closed.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
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
      worker.on('message', (message: WorkerMessage) => {
        if (message.type === 'done') resolve()
        else this.#findings.set(message.place, message.finding)
      })
      worker.on('error', (cause: unknown) => {
        const reason = cause instanceof Error ? cause.message : String(cause)
        reject(new PbManifestError('IO', `a worker thread failed: ${reason}`, { cause }))
      })
      worker.on('exit', (status) => {
        reject(new PbManifestError('IO', `a worker thread ended unexpectedly with status ${status}`))
      })
    })
  }
}
