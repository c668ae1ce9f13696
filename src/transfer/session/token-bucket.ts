import { throwIfAborted } from '../../files/yielder.js'
import { setTimeout } from 'node:timers/promises'

/** A kilobyte of MAX_RATE. */
const KILOBYTE = 1024
const NS_PER_SECOND = 1_000_000_000
const NS_PER_MS = 1_000_000n

/** So much time's bytes may pass at once after a pause; a server, too, looks eight times a second. */
const BURST_NS = 125_000_000n

/** For how long, in milliseconds, whoever takes bytes sleeps before looking whether there is still something to wait for. */
const LONGEST_SLEEP_MS = 250

/** Time as the token bucket needs it, so that a test can be its own clock. */
export interface Clock {
  /** Nanoseconds since some moment that is the same for all threads of the process; never goes backwards. */
  readonly now: () => bigint
  /** Rejects with any error when the signal fires. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
}

/** The clock of the machine: `performance.now` would begin anew in every thread. */
export const monotonicClock: Clock = {
  now: () => process.hrtime.bigint(),
  sleep: async (milliseconds, signal) => {
    await setTimeout(milliseconds, undefined, signal && { signal })
  },
}

/**
 * Keeps all sessions of a backup together, in whatever threads, at one rate.
 *
 * What they share is one number: the moment up to which all bytes are given away. Whoever wants to pass on bytes moves it
 * on by the time that those take, in one atomic step, and sleeps until then. So turns are taken in the order of asking,
 * nobody is woken in vain, and no message is sent.
 */
export class TokenBucket {
  readonly #paidUntil: BigInt64Array
  readonly #clock: Clock
  readonly #isOver: () => boolean
  /** In kB/s. */
  readonly rate: number

  /**
   * @param memory - one 64-bit number, shared
   * @param rate - in kB/s
   * @param isOver - whether nobody needs to wait any more, since the backup failed
   */
  constructor(memory: BigInt64Array, rate: number, isOver: () => boolean, clock: Clock = monotonicClock) {
    this.#paidUntil = memory
    this.rate = rate
    this.#isOver = isOver
    this.#clock = clock
  }

  /** How many bytes to take at a time, so that they flow and do not gush: an eighth of a second's, but whole pages. */
  get pieceBytes(): number {
    return Math.max(8192, Math.floor((this.rate * KILOBYTE) / 8 / 8192) * 8192)
  }

  /**
   * Takes so many bytes; when this resolves, they may be passed on.
   *
   * @returns the nanoseconds waited
   * @throws {@link PbManifestError} `ABORTED`
   */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<bigint> {
    const asked = this.#clock.now()
    const due = this.#reserve(bytes, asked)
    let now = asked
    while (now < due && !this.#isOver()) {
      throwIfAborted(signal)
      const milliseconds = Math.min(Number((due - now + NS_PER_MS - 1n) / NS_PER_MS), LONGEST_SLEEP_MS)
      // An abort shows at the top of the loop, in our words.
      await this.#clock.sleep(milliseconds, signal).catch(() => throwIfAborted(signal))
      now = this.#clock.now()
    }
    throwIfAborted(signal)
    return now - asked
  }

  /** Moves the end of what is given away, and says from when on the bytes may pass. */
  #reserve(bytes: number, now: bigint): bigint {
    const cost = BigInt(Math.ceil((bytes * NS_PER_SECOND) / (this.rate * KILOBYTE)))
    for (;;) {
      const found = Atomics.load(this.#paidUntil, 0)
      // What nobody took while it was there is lost, but for the burst.
      const from = found > now - BURST_NS ? found : now - BURST_NS
      if (Atomics.compareExchange(this.#paidUntil, 0, found, from + cost) === found) return from + cost
    }
  }
}
