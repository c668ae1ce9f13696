import { MAX_RATE, MIN_RATE } from '../src/threads/shared-rate.js'
import { usageError } from './usage-error.js'

/**
 * Reads a rate as pg_basebackup does: a number in kB/s, or with the suffix `k` or `M`.
 *
 * @returns kB/s
 * @see src/bin/pg_basebackup/pg_basebackup.c, parse_max_rate
 */
export function readRate(text: string): number {
  const trimmed = text.trim()
  const [numberText = ''] = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/.exec(trimmed) ?? []
  const suffix = trimmed.slice(numberText.length).trim()
  if (numberText === '') throw usageError(`transfer rate "${text}" is not a valid value`)
  const number = Number(numberText)
  if (!(number > 0)) throw usageError('transfer rate must be greater than zero')
  if (suffix !== '' && suffix !== 'k' && suffix !== 'M')
    throw usageError(`invalid --max-rate unit: "${suffix}"`)
  const rate = Math.floor(suffix === 'M' ? number * 1024 : number)
  if (rate < MIN_RATE || rate > MAX_RATE) {
    throw usageError(
      `transfer rate "${text}" is out of range`,
      `It must be from ${MIN_RATE} kB/s to ${MAX_RATE} kB/s.`,
    )
  }
  return rate
}
