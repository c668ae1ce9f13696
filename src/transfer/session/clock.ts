import { setTimeout } from 'node:timers/promises'

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
