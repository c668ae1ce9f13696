import type { WalRange } from '../../manifest/model.js'

/** A range, and what keeps it from being read. */
export interface PlannedRange {
  readonly range: WalRange
  /** Another range of its timeline that has a part of the same WAL. */
  readonly overlapped: WalRange | undefined
}

/**
 * Which ranges to read, so that no WAL is read twice, however many ranges a manifest lists: a range that is there again is
 * left out, and one that overlaps another of its timeline is to be refused. A server lists one range for each timeline.
 */
export function planRanges(ranges: readonly WalRange[]): PlannedRange[] {
  const distinct = [...new Map(ranges.map((range) => [keyOf(range), range])).values()]
  const overlaps = new Map<WalRange, WalRange>()
  /** Of the timeline, the range that reaches farthest. */
  let farthest: WalRange | undefined
  for (const range of distinct.toSorted(compareRanges)) {
    if (range.endLsn <= range.startLsn) continue
    const isSameTimeline = farthest?.timeline === range.timeline
    if (farthest !== undefined && isSameTimeline && range.startLsn < farthest.endLsn)
      overlaps.set(range, farthest)
    if (farthest === undefined || !isSameTimeline || range.endLsn > farthest.endLsn) farthest = range
  }
  return distinct.map((range) => ({ range, overlapped: overlaps.get(range) }))
}

function keyOf({ timeline, startLsn, endLsn }: WalRange): string {
  return `${timeline} ${startLsn} ${endLsn}`
}

function compareRanges(left: WalRange, right: WalRange): number {
  if (left.timeline !== right.timeline) return left.timeline - right.timeline
  if (left.startLsn !== right.startLsn) return left.startLsn < right.startLsn ? -1 : 1
  return left.endLsn < right.endLsn ? -1 : 1
}
