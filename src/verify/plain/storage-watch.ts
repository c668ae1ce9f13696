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

/** One more thread for less work costs more than it helps. */
const BYTES_PER_THREAD = 64 * 1024 * 1024
const FILES_PER_THREAD = 2000
/** Of files that are only looked at, because there is evidence on them. */
const COMPARED_PER_THREAD = 60_000

/** Where each file is waited for, so many take as long as a thread's start. */
const FILES_PER_WAITING_THREAD = 64

/** How many threads are worth starting for the work that is known by now. */
export class ThreadDemand {
  #files = 0
  #bytes = 0
  #compared = 0

  /** A file that is to be read. */
  addReading(bytes: number): void {
    this.#files++
    this.#bytes += bytes
  }

  /** A file that is only to be looked at, unless it has changed. */
  addComparing(): void {
    this.#compared++
  }

  get hasComparing(): boolean {
    return this.#compared > 0
  }

  get threads(): number {
    const forFiles = this.#files / FILES_PER_THREAD + this.#compared / COMPARED_PER_THREAD
    return Math.ceil(Math.max(forFiles, this.#bytes / BYTES_PER_THREAD))
  }
}

/**
 * How many there may be where so many wait for storage: twice as many, as long as each of the new ones has enough to read.
 *
 * @param files - those that are left
 * @param bytes - theirs
 */
export function threadsWhereWaiting(threads: number, files: number, bytes: number): number {
  const isMuch = files >= FILES_PER_WAITING_THREAD * threads || bytes >= BYTES_PER_THREAD * threads
  return isMuch ? Math.min(2 * threads, threads + files) : threads
}
