import { invalidValue } from './option-values.js'

const secondsOf: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400, w: 604_800 }

/** A century is longer than any file is kept. */
const MAX_SECONDS = 100 * 366 * 86_400

/**
 * Reads how long something may be ago, in PostgreSQL's units of time.
 *
 * @returns seconds
 */
export function readDuration(name: string, text: string): number {
  const [, number, unit] = /^(\d{1,12}(?:\.\d{1,6})?)\s*(s|min|h|d|w)$/.exec(text.trim()) ?? []
  const seconds = Number(number) * (secondsOf[unit ?? ''] ?? Number.NaN)
  if (seconds > 0 && seconds <= MAX_SECONDS) return seconds
  throw invalidValue(name, text, 'a number and a unit, s, min, h, d or w, such as 36h')
}
