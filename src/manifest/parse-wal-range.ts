import { parseLsn } from '../postgres/lsn.js'
import { manifestParseError } from './manifest-error.js'
import type { WalRange } from './model.js'
import { parseWholeNumber } from './parse-whole-number.js'

/** The keys of one object of `"WAL-Ranges"`. */
export const walRangeFields = ['Timeline', 'Start-LSN', 'End-LSN'] as const

const MAX_TIMELINE = 0xffffffffn

/**
 * Makes a WAL range of the values of one object of `"WAL-Ranges"`.
 *
 * Stricter than `pg_verifybackup`, whose scanner takes `0/1zz` for an LSN and 4294967297 for timeline 1.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`
 * @see src/common/parse_manifest.c, json_manifest_finalize_wal_range
 */
export function parseWalRange(fields: ReadonlyMap<(typeof walRangeFields)[number], string>): WalRange {
  const timelineText = fields.get('Timeline')
  const startText = fields.get('Start-LSN')
  const endText = fields.get('End-LSN')
  if (timelineText === undefined) throw manifestParseError('missing timeline')
  if (startText === undefined) throw manifestParseError('missing start LSN')
  if (endText === undefined) throw manifestParseError('missing end LSN')
  const timeline = parseWholeNumber(timelineText)
  if (timeline === undefined) throw manifestParseError('timeline is not an integer')
  if (timeline === 0n || timeline > MAX_TIMELINE) {
    throw manifestParseError(`timeline is out of range: ${timelineText}`)
  }
  const startLsn = parseLsn(startText)
  if (startLsn === undefined) throw manifestParseError('could not parse start LSN')
  const endLsn = parseLsn(endText)
  if (endLsn === undefined) throw manifestParseError('could not parse end LSN')
  return { timeline: Number(timeline), startLsn, endLsn }
}
