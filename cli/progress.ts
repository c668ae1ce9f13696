import type { VerifyProgress } from '../src/verify/options.js'
import type { Messages } from './messages.js'

const INTERVAL_MS = 1000

/**
 * The line of `pg_verifybackup --progress`: `  123/45678 kB (0%) verified`.
 *
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, progress_report
 */
export function formatProgress({ bytesDone, bytesTotal }: VerifyProgress): string {
  const total = String(Math.floor(bytesTotal / 1024))
  const done = String(Math.floor(bytesDone / 1024)).padStart(total.length)
  const percent = bytesTotal === 0 ? 0n : (BigInt(bytesDone) * 100n) / BigInt(bytesTotal)
  return `${done}/${total} kB (${percent}%) verified`
}

/** Shows progress: a first line, then at most one a second, and a last line. */
export class ProgressReporter {
  readonly #messages: Messages
  readonly #now: () => number
  #latest: VerifyProgress | undefined
  #shownAt = -Infinity

  /** @param now - a clock in milliseconds */
  constructor(messages: Messages, now: () => number = () => performance.now()) {
    this.#messages = messages
    this.#now = now
  }

  report(progress: VerifyProgress): void {
    this.#latest = progress
    const now = this.#now()
    if (now - this.#shownAt < INTERVAL_MS) return
    this.#shownAt = now
    this.#messages.progress(formatProgress(progress), false)
  }

  /** Shows the last state, if there was any: with checksums skipped, nothing is read. */
  finish(): void {
    if (this.#latest !== undefined) this.#messages.progress(formatProgress(this.#latest), true)
  }
}
