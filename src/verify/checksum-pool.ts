import { SHARE_ENV, Worker } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/give-way.js'
import type { FileFinding, StartChecking, WorkerMessage } from './checksum-messages.js'
import type { EngineUse } from './thread-hashers.js'
import { WorkQueue } from './work-queue.js'

const workerFile = new URL('checksum-worker.js', import.meta.url)

/** One more thread for less work costs more than it helps. */
const BYTES_PER_WORKER = 64 * 1024 * 1024
const FILES_PER_WORKER = 2000

/** More threads would take memory, 15 MB each, and gain nothing: what they wait for is a disk or a network. */
const MAX_WORKERS = 64

/** For so long, in milliseconds, a thread may go on with what it is doing when it is no longer wanted. */
const GRACE_MS = 10_000

/** Threads that check the files of one queue, from the moment at which the pool is made. */
export class ChecksumPool {
  readonly #start: StartChecking
  readonly #maxWorkers: number
  readonly #workers: Worker[] = []
  readonly #ends: Promise<void>[] = []
  readonly #exits: Promise<unknown>[] = []
  readonly #findings = new Map<number, FileFinding>()
  readonly #engines: EngineUse[] = []

  /**
   * Starts the first thread; `close` ends it.
   *
   * @throws {@link PbManifestError} `IO` when the system does not grant it
   */
  constructor(start: StartChecking, jobs: number) {
    this.#start = start
    this.#maxWorkers = Math.min(jobs, MAX_WORKERS)
    this.#startWorker()
  }

  /** What computes checksums in the threads. */
  get engines(): readonly EngineUse[] {
    return this.#engines
  }

  /**
   * Starts as many threads as are worth it for all the work that is known now.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  growFor(files: number, bytes: number): void {
    const wanted = Math.ceil(Math.max(files / FILES_PER_WORKER, bytes / BYTES_PER_WORKER))
    while (this.#workers.length < Math.min(wanted, this.#maxWorkers)) this.#startWorker()
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
    new WorkQueue(this.#start.queue).abandon()
    const timer = setTimeout(() => {
      for (const worker of this.#workers) void worker.terminate()
    }, GRACE_MS)
    await Promise.all(this.#exits)
    clearTimeout(timer)
  }

  #startWorker(): void {
    const worker = createWorker(this.#start)
    this.#workers.push(worker)
    const end = this.#follow(worker)
    // Whoever waits for the end is told; until then a failure must not count as unhandled.
    end.catch(() => {})
    this.#ends.push(end)
    this.#exits.push(
      new Promise((resolve) => {
        worker.once('exit', resolve)
      }),
    )
  }

  #follow(worker: Worker): Promise<void> {
    return new Promise((resolve, reject) => {
      worker.on('message', (message: WorkerMessage) => {
        switch (message.type) {
          case 'finding':
            this.#findings.set(message.place, message.finding)
            break
          case 'engine':
            this.#engines.push(message.use)
            break
          case 'done':
            resolve()
            break
          default:
            message satisfies never
        }
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

function createWorker(start: StartChecking): Worker {
  try {
    // The options of the process are for its own program: `--input-type` would keep a thread from starting.
    return new Worker(workerFile, { workerData: start, env: SHARE_ENV, execArgv: [] })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PbManifestError('IO', `could not start a worker thread: ${reason}`, { cause })
  }
}
