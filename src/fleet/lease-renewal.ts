import type { FleetQueue } from './fleet-queue.js'
import { type QueueWorker, renewLease, reportWorker, type ShardLease, takeBackSilent } from './shard-lease.js'

/** How often a lease is renewed, and progress told, in milliseconds; a short lease more often. */
const RENEW_MS = 3000

/** Keeps a shard for its worker, and learns when it is another's. */
export class LeaseRenewal {
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  readonly #timer: NodeJS.Timeout
  #progress = { bytesDone: 0, bytesTotal: 0 }
  #isBusy = false

  constructor(queue: FleetQueue, lease: ShardLease, worker: QueueWorker) {
    const renew = async (): Promise<void> => {
      if (this.#isBusy) return
      this.#isBusy = true
      try {
        const isOurs = await queue.run(async (transaction) => {
          await reportWorker(transaction, worker)
          await takeBackSilent(transaction)
          return await renewLease(transaction, lease, worker, this.#progress)
        }, this.#ended.signal)
        if (!isOurs) this.#lost.abort()
      } catch {
        // Whoever hands the shard in learns of it.
      } finally {
        this.#isBusy = false
      }
    }
    this.#timer = setInterval(() => void renew(), Math.min(RENEW_MS, (worker.leaseSeconds * 1000) / 3))
  }

  /** Fires when the shard is another worker's, or done. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  report(progress: { readonly bytesDone: number; readonly bytesTotal: number }): void {
    this.#progress = progress
  }

  end(): void {
    clearInterval(this.#timer)
    this.#ended.abort()
  }
}
