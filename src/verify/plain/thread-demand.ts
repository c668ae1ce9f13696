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
