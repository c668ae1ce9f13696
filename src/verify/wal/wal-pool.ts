import { PbManifestError } from '../../errors.js'
import { Claims } from '../../threads/claims.js'
import { WakeUp } from '../../threads/wake-up.js'
import { ThreadPool } from '../thread-pool.js'
import type { PartWalked, StartWalking } from './walk-parts.js'
import type { PartResult } from './walk-part.js'

const file = new URL('wal-worker.js', import.meta.url)

/** Threads that read the parts of one run of segments, the first part first. */
export class WalPool {
  readonly #threads: ThreadPool<StartWalking, PartWalked>
  readonly #results = new Map<number, PartResult>()
  #failure: unknown
  readonly #wakeUp = new WakeUp()

  constructor(start: Omit<StartWalking, 'claims'>) {
    const claims = new Claims()
    this.#threads = new ThreadPool({
      file,
      start: { ...start, claims: claims.buffer },
      onMessage: ({ index, result }) => {
        this.#results.set(index, result)
        this.#wakeUp.wake()
      },
      abandon: () => claims.abandon(),
    })
  }

  /**
   * Starts so many threads; `close` ends them, also when not all could be started.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  start(threads: number, signal: AbortSignal | undefined): void {
    this.#threads.growTo(threads)
    void this.#watch(signal)
  }

  /**
   * Waits for what comes of a part.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
   */
  async resultOf(index: number): Promise<PartResult> {
    for (;;) {
      const result = this.#results.get(index)
      this.#results.delete(index)
      if (result !== undefined) return result
      if (this.#failure !== undefined) throw this.#failure
      await this.#wakeUp.wait()
    }
  }

  /** Ends the threads, and waits for it. */
  async close(): Promise<void> {
    await this.#threads.close()
  }

  /** What has come before the end is there at the end: nothing more will. */
  async #watch(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#threads.finish(signal)
      this.#failure = new PbManifestError('IO', 'worker threads ended without a result')
    } catch (error) {
      this.#failure = error
    }
    this.#wakeUp.wake()
  }
}
