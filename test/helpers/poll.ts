import { setTimeout as sleep } from 'node:timers/promises'

export interface PollOptions {
  /** Milliseconds to wait at most. Default 120000: it is for what never comes, however busy the machine is. */
  readonly timeout?: number
  /** Milliseconds between two looks. Default 20. */
  readonly interval?: number
}

/**
 * Looks until `look` returns something other than `undefined` or `false`, and returns that.
 *
 * @param what - What is waited for, for the message of the error after `timeout`.
 */
export async function poll<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  options: PollOptions = {},
): Promise<T> {
  const { timeout = 120_000, interval = 20 } = options
  const deadline = Date.now() + timeout
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (Date.now() > deadline) throw new Error(`waited ${String(timeout)} ms in vain for ${what}`)
    await sleep(interval)
  }
}
