import { Worker } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/give-way.js'
import type { FileOutcome, FileToCheck } from './check-file.js'
import type { BatchOutcome, CheckBatch, ChecksumWorkerData } from './checksum-messages.js'

const workerFile = new URL('checksum-worker.js', import.meta.url)

/** A worker reads one batch while the next waits for it. */
const BATCHES_PER_WORKER = 2

/** Threads that read files and compare checksums. */
export class ChecksumPool {
  readonly #workers: Worker[] = []
  readonly #bytesRead = new SharedArrayBuffer(8)

  /**
   * Starts the threads; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  constructor(jobs: number) {
    const workerData: ChecksumWorkerData = { bytesRead: this.#bytesRead }
    // The options of the process are for its own program: `--input-type` would keep a thread from starting.
    const options = { workerData, execArgv: [] }
    try {
      while (this.#workers.length < jobs) {
        this.#workers.push(new Worker(workerFile, options))
      }
    } catch (cause) {
      // Nobody gets hold of this pool, so nobody else can end the threads that have started.
      for (const worker of this.#workers) void worker.terminate()
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new PbManifestError('IO', `could not start a worker thread: ${reason}`, { cause })
    }
  }

  /** How many bytes all threads have read so far. */
  get bytesRead(): number {
    return Number(Atomics.load(new BigInt64Array(this.#bytesRead), 0))
  }

  /**
   * Checks all files, and hands over the outcomes in the order of the batches, however the threads raced.
   *
   * When `take` returns false, no batch after the present ones is begun.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
   */
  async check(
    batches: Iterator<readonly FileToCheck[], unknown>,
    take: (outcomes: readonly FileOutcome[]) => boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    throwIfAborted(signal)
    const cleanUps: (() => void)[] = []
    try {
      await new Promise<void>((resolve, reject) => {
        const run = new CheckRun(batches, take, resolve)
        cleanUps.push(onAbort(signal, () => reject(new PbManifestError('ABORTED', 'aborted'))))
        for (const worker of this.#workers) {
          cleanUps.push(onDeath(worker, reject), run.employ(worker, reject))
        }
      })
    } finally {
      for (const cleanUp of cleanUps) cleanUp()
    }
  }

  /** Ends the threads, whatever they are doing, and waits for it. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}

/** Deals out batches, and puts the outcomes back in order. */
class CheckRun {
  readonly #batches: Iterator<readonly FileToCheck[], unknown>
  readonly #take: (outcomes: readonly FileOutcome[]) => boolean
  readonly #done: () => void
  readonly #waiting = new Map<number, readonly FileOutcome[]>()
  #dealt = 0
  #taken = 0
  #isExhausted = false

  constructor(
    batches: Iterator<readonly FileToCheck[], unknown>,
    take: (outcomes: readonly FileOutcome[]) => boolean,
    done: () => void,
  ) {
    this.#batches = batches
    this.#take = take
    this.#done = done
  }

  /** Keeps a worker busy; returns what ends that. */
  employ(worker: Worker, fail: (error: unknown) => void): () => void {
    const mine: number[] = []
    const onMessage = ({ outcomes }: BatchOutcome): void => {
      try {
        this.#accept(mine.shift() ?? -1, outcomes)
        this.#deal(worker, mine)
      } catch (error) {
        fail(error)
      }
    }
    worker.on('message', onMessage)
    for (let count = 0; count < BATCHES_PER_WORKER; count++) this.#deal(worker, mine)
    return () => worker.off('message', onMessage)
  }

  #deal(worker: Worker, mine: number[]): void {
    const next = this.#batches.next()
    if (next.done === true) {
      this.#isExhausted = true
      if (this.#taken === this.#dealt) this.#done()
      return
    }
    mine.push(this.#dealt++)
    worker.postMessage({ files: next.value } satisfies CheckBatch)
  }

  #accept(number: number, outcomes: readonly FileOutcome[]): void {
    this.#waiting.set(number, outcomes)
    for (
      let next = this.#waiting.get(this.#taken);
      next !== undefined;
      next = this.#waiting.get(this.#taken)
    ) {
      this.#waiting.delete(this.#taken++)
      if (!this.#take(next)) return this.#done()
    }
    if (this.#isExhausted && this.#taken === this.#dealt) this.#done()
  }
}

function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  signal?.addEventListener('abort', listener)
  return () => signal?.removeEventListener('abort', listener)
}

/** A thread that ends before it is told to fails the run, with its reason. */
function onDeath(worker: Worker, fail: (error: unknown) => void): () => void {
  const onError = (cause: unknown): void => {
    const reason = cause instanceof Error ? cause.message : String(cause)
    fail(new PbManifestError('IO', `a worker thread failed: ${reason}`, { cause }))
  }
  const onExit = (status: number): void => {
    fail(new PbManifestError('IO', `a worker thread ended unexpectedly with status ${status}`))
  }
  worker.on('error', onError)
  worker.on('exit', onExit)
  return () => {
    worker.off('exit', onExit)
    // An error that comes while the thread is being ended must find a listener.
  }
}
