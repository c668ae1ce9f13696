import { availableParallelism } from 'node:os'

/** Where nobody says how many threads there may be, storage that answers late makes them so many: each takes 12 MB. */
export const MOST_WAITING_THREADS = 8

/** What this process has used and done by some moment. */
export interface Usage {
  /** Milliseconds of time. */
  readonly wall: number
  /** Milliseconds of processors, of all threads. */
  readonly processor: number
  /** How often a thread gave its processor up to wait for something. */
  readonly waits: number
  /** How many pieces were read, about: whole files, and buffers of larger ones. */
  readonly pieces: number
}

/**
 * Finds out whether the threads that read wait for storage rather than for a processor: then more of them read sooner.
 *
 * Little processor time alone does not say that, for other programs may have the processors. But who is pushed from its
 * processor has not given it up, and what is in memory is read without a wait.
 */
export class StorageWatch {
  #last: Usage | undefined

  /**
   * To be asked again and again.
   *
   * @param pieces - how many were read so far
   */
  isWaiting(threads: number, pieces: number): boolean {
    const now = usageWith(pieces)
    const last = (this.#last ??= now)
    // Threads that are just starting have read nothing yet.
    if (now.pieces === last.pieces) return false
    this.#last = now
    return hasWaited(last, now, Math.min(threads, availableParallelism()))
  }
}

/**
 * Whether threads have mostly waited between two moments.
 *
 * @param processors - how many processors they could have used
 */
export function hasWaited(before: Usage, after: Usage, processors: number): boolean {
  const busy = (after.processor - before.processor) / (processors * (after.wall - before.wall))
  return busy < 0.5 && after.waits - before.waits >= (after.pieces - before.pieces) / 2
}

function usageWith(pieces: number): Usage {
  const { userCPUTime, systemCPUTime, voluntaryContextSwitches } = process.resourceUsage()
  return {
    wall: performance.now(),
    processor: (userCPUTime + systemCPUTime) / 1000,
    waits: voluntaryContextSwitches,
    pieces,
  }
}
