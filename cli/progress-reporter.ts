import type { VerifyProgress } from '../src/verify/options.js'
import { formatBytes } from '../src/renderings/format.js'
import type { Messages } from './messages.js'

const INTERVAL_MS = 1000

/** How far it is, as PostgreSQL's programs have it: `  123/45678 kB (0%)`. */
export function formatShare({ bytesDone, bytesTotal }: VerifyProgress): string {
  const total = String(Math.floor(bytesTotal / 1024))
  const done = String(Math.floor(bytesDone / 1024)).padStart(total.length)
  const percent = bytesTotal === 0 ? 0n : (BigInt(bytesDone) * 100n) / BigInt(bytesTotal)
  return `${done}/${total} kB (${percent}%)`
}

/**
 * The line of `pg_verifybackup --progress`: `  123/45678 kB (0%) verified`.
 *
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, progress_report
 */
export function formatProgress(progress: VerifyProgress): string {
  return `${formatShare(progress)} verified`
}

/**
 * How fast it goes and how long it will take, for a terminal: `, 512.0 MB/s, 1:05 left`. Nothing as long as nobody can
 * know.
 */
export function formatPace({ bytesDone, bytesTotal }: VerifyProgress, seconds: number): string {
  if (bytesDone === 0 || seconds <= 0) return ''
  const rate = bytesDone / seconds
  const left = Math.ceil((bytesTotal - bytesDone) / rate)
  const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60]
  const shown = parts[0] === 0 ? parts.slice(1) : parts
  const time = shown
    .map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0')))
    .join(':')
  return `, ${formatBytes(rate)}/s, ${time} left`
}

/** Shows progress: a first line, then at most one a second, and a last line. */
export class ProgressReporter<Progress extends VerifyProgress = VerifyProgress> {
  readonly #messages: Messages
  readonly #now: () => number
  readonly #format: (progress: Progress) => string
  #latest: Progress | undefined
  #shownAt = -Infinity
  #startedAt: number | undefined

  /**
   * @param now - a clock in milliseconds
   * @param format - the line without rate and time left
   */
  constructor(
    messages: Messages,
    now: () => number = () => performance.now(),
    format: (progress: Progress) => string = formatProgress,
  ) {
    this.#messages = messages
    this.#now = now
    this.#format = format
  }

  /** @param isDue - whether it is shown though the last line is no second old */
  report(progress: Progress, isDue = false): void {
    this.#latest = progress
    const now = this.#now()
    if (!isDue && now - this.#shownAt < INTERVAL_MS) return
    this.#shownAt = now
    this.#startedAt ??= now
    const pace = this.#messages.isTerminal ? formatPace(progress, (now - this.#startedAt) / 1000) : ''
    this.#messages.progress(this.#format(progress), false, pace)
  }

  /** Shows the last state, once, if there was any: with checksums skipped, nothing is read. */
  finish(latest: Progress | undefined = this.#latest): void {
    if (latest !== undefined) this.#messages.progress(this.#format(latest), true)
    this.#latest = undefined
  }
}
