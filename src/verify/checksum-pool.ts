import type { FileOutcome } from './check-file.js'
import type { StartChecking, WorkerMessage } from './checksum-messages.js'
import { type DoneMessage, ThreadPool } from './thread-pool.js'

const file = new URL('checksum-worker.js', import.meta.url)

/** A thread for fewer bytes of manifest (about 25 files) costs more than it helps. */
const MANIFEST_BYTES_PER_WORKER = 4096

/** Threads that check the files of one queue, from the moment at which the pool is made. */
export class ChecksumPool {
  readonly #findings = new Map<number, FileOutcome>()
  readonly #threads: ThreadPool<Exclude<WorkerMessage, DoneMessage>>

  /**
   * Starts the threads; `close` ends them.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  constructor(start: StartChecking, jobs: number, manifestBytes: number) {
    this.#threads = new ThreadPool({
      file,
      count: Math.min(jobs, Math.ceil(manifestBytes / MANIFEST_BYTES_PER_WORKER) || 1),
      workerData: start,
      onMessage: ({ place, outcome }) => this.#findings.set(place, outcome),
    })
  }

  /** What a thread found at this place of the queue; `undefined` when it has not arrived. */
  finding(place: number): FileOutcome | undefined {
    return this.#findings.get(place)
  }

  /**
   * Waits until the queue is empty and closed.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
   */
  async finish(signal: AbortSignal | undefined): Promise<void> {
    await this.#threads.finish(signal)
  }

  /** Ends the threads, whatever they are doing, and waits for it. */
  async close(): Promise<void> {
    await this.#threads.close()
  }
}
