import { throwIfAborted } from '../../files/yielder.js'
import { pieceBytesOf, reserveBytes } from '../../threads/shared-rate.js'
import { setTimeout } from 'node:timers/promises'

const NS_PER_MS = 1_000_000n

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

/** Keeps all sessions of a backup together, in whatever threads, at one rate: see {@link reserveBytes}. */
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

  /** How many bytes to take at a time. */
  get pieceBytes(): number {
    return pieceBytesOf(this.rate)
  }

  /**
   * Takes so many bytes; when this resolves, they may be passed on.
   *
   * @returns the nanoseconds waited
   * @throws {@link PbManifestError} `ABORTED`
   */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<bigint> {
    const asked = this.#clock.now()
    const due = reserveBytes(this.#paidUntil, this.rate, bytes, asked)
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
}
