import { checksumThread } from './checksum-thread.js'
import type { FileFinding, StartChecking, WorkerMessage } from './checksum-messages.js'
import type { EngineUse } from '../name-engines.js'
import type { ThreadAhead } from '../../threads/thread-ahead.js'
import { type DoneMessage, ThreadPool } from '../thread-pool.js'
import { WorkQueue } from './work-queue.js'

/** One more thread for less work costs more than it helps. */
const BYTES_PER_THREAD = 64 * 1024 * 1024
const FILES_PER_THREAD = 2000

/** Threads that check the files of one queue. */
export class ChecksumPool {
  readonly #jobs: number
  readonly #threads: ThreadPool<StartChecking, Exclude<WorkerMessage, DoneMessage>>
  readonly #findings = new Map<number, FileFinding>()
  readonly #engines: EngineUse[] = []

  /**
   * Starts the first thread; `close` ends it.
   *
   * @param ahead - becomes the first thread
   * @throws {@link PbManifestError} `IO` when the system does not grant it
   */
  constructor(start: StartChecking, jobs: number, ahead?: ThreadAhead) {
    this.#jobs = jobs
    this.#threads = new ThreadPool({
      file: checksumThread,
      ahead,
      start,
      onMessage: (message) => {
        if (message.type === 'engine') this.#engines.push(message.use)
        else this.#findings.set(message.place, message.finding)
      },
      abandon: () => new WorkQueue(start.queue).abandon(),
    })
    this.#threads.growTo(1)
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
    const wanted = Math.ceil(Math.max(files / FILES_PER_THREAD, bytes / BYTES_PER_THREAD))
    this.#threads.growTo(Math.min(wanted, this.#jobs))
  }

  /** What a thread found at this place of the queue, once; `undefined` when it has not arrived. */
  takeFinding(place: number): FileFinding | undefined {
    const finding = this.#findings.get(place)
    this.#findings.delete(place)
    return finding
  }

  /**
   * Waits until the queue is empty and closed.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
   */
  async finish(signal: AbortSignal | undefined): Promise<void> {
    await this.#threads.finish(signal)
  }

  /** Ends the threads, and waits for it. */
  async close(): Promise<void> {
    await this.#threads.close()
  }
}
