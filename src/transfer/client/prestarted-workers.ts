import { availableParallelism } from 'node:os'
import { PrestartedThread } from '../../threads/prestarted-thread.js'
import { SupervisedThread } from '../../threads/supervised-thread.js'
import type { SessionSource } from './source/source.js'
import type { MessageFromWorker, MessageToWorker } from './worker-messages.js'

/** The thread of a worker. */
export type WorkerThread = SupervisedThread<MessageToWorker, MessageFromWorker>

const workerFile = new URL('backup-worker.js', import.meta.url)

/**
 * So many threads start at the same time. Each loads our modules and connects, which is hard work for both sides, and the
 * first ones should not have to wait for the last.
 */
export const STARTING_AT_ONCE = 8

/** Threads for the workers of a backup, the first of which load their program while the leader loads its own and connects. */
export class PrestartedWorkers {
  readonly #kind: SessionSource['kind']
  readonly #threads: readonly PrestartedThread<MessageToWorker, MessageFromWorker>[]

  /** Starts the first threads; `close` ends those that nobody took. */
  constructor(jobs: number, kind: SessionSource['kind']) {
    this.#kind = kind
    // More than there are processors would keep the leader from its own loading.
    const count = Math.min(jobs, STARTING_AT_ONCE, availableParallelism())
    this.#threads = Array.from({ length: count }, () => new PrestartedThread(workerFile, kind))
  }

  /**
   * A thread that waits for its `start`. Whoever takes it ends it.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  take(): WorkerThread {
    for (const thread of this.#threads) {
      const worker = thread.take()
      if (worker !== undefined) return worker
    }
    return new SupervisedThread(workerFile, { workerData: this.#kind })
  }

  /** Ends the threads that nobody took, and waits for it. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }
}
