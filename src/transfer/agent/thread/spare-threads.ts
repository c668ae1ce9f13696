import { once } from 'node:events'
import type { MessageToSession, StartSession } from './session-messages.js'
import { type StartedThread, startSessionThread } from './start-session-thread.js'

/** For a leader and two workers. More start while these are at work; each takes 15 MB. */
const SPARES = 3

/**
 * Threads that have loaded all they need before somebody connects: on a machine with few processors that takes as long as
 * sending half a gigabyte.
 */
export class SpareThreads {
  readonly #start: Omit<StartSession, 'pieces' | 'isSpare'>
  readonly #spares: StartedThread[] = []
  #closed: Promise<void> | undefined

  constructor(start: Omit<StartSession, 'pieces' | 'isSpare'>) {
    this.#start = start
    this.refill()
  }

  /**
   * A spare thread, or a new one when there is none. Whoever takes it ends it.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more threads
   */
  take(): StartedThread {
    return this.#spares.shift() ?? startSessionThread({ ...this.#start, isSpare: false })
  }

  /** Starts threads in place of those that were taken; to be called when there is nothing else to do. */
  refill(): void {
    while (this.#closed === undefined && this.#spares.length < SPARES && this.#add());
  }

  /** Ends those that nobody took, and waits for it; from now on there are no others. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Returns whether the system granted it. If not, whoever needs one will be told. */
  #add(): boolean {
    try {
      const spare = startSessionThread({ ...this.#start, isSpare: true })
      this.#spares.push(spare)
      const forget = (): void => {
        const place = this.#spares.indexOf(spare)
        if (place !== -1) this.#spares.splice(place, 1)
      }
      spare.worker.once('error', forget)
      spare.worker.once('exit', forget)
      return true
    } catch {
      return false
    }
  }

  async #close(): Promise<void> {
    const exits = this.#spares.splice(0).map(async ({ worker }) => {
      const exit = once(worker, 'exit')
      worker.postMessage({ type: 'end', how: 'finish' } satisfies MessageToSession)
      // One that failed to start has said so to nobody, and is gone all the same.
      await exit.catch(() => {})
    })
    await Promise.all(exits)
  }
}
