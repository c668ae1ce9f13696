import type { WalPart } from './walk-part.js'
import type { WalRange } from '../../manifest/model.js'

/** A part of fewer bytes would cost more to hand over than its records cost to read. */
const PART_BYTES = 16 * 1024 * 1024

/** Segments that are there without a gap; the numbers include the last. */
export interface SegmentRun {
  readonly firstSegment: bigint
  readonly lastSegment: bigint
  /** Where the range begins, if that is in this run. */
  readonly startLsn: bigint | undefined
}

/** Groups the numbers of segments, which are in order, into runs without a gap. */
export function findRuns(segments: readonly bigint[]): { firstSegment: bigint; lastSegment: bigint }[] {
  const runs: { firstSegment: bigint; lastSegment: bigint }[] = []
  for (const segment of segments) {
    const run = runs.at(-1)
    if (run !== undefined && run.lastSegment + 1n === segment) run.lastSegment = segment
    else runs.push({ firstSegment: segment, lastSegment: segment })
  }
  return runs
}

/** Cuts a run into parts that can be read beside each other. */
export function planParts(
  { firstSegment, lastSegment, startLsn }: SegmentRun,
  segmentSize: number,
  partBytes: number = PART_BYTES,
): WalPart[] {
  const step = BigInt(Math.max(1, Math.floor(partBytes / segmentSize)))
  const parts: WalPart[] = []
  for (let first = firstSegment; first <= lastSegment; first += step) {
    const last = first + step - 1n
    parts.push({
      firstSegment: first,
      lastSegment: last < lastSegment ? last : lastSegment,
      lastPresentSegment: lastSegment,
      startLsn: first === firstSegment ? startLsn : undefined,
      position: undefined,
    })
  }
  return parts
}

/** The whole run in one. */
export function wholeRun({ firstSegment, lastSegment, startLsn }: SegmentRun): WalPart {
  return { firstSegment, lastSegment, lastPresentSegment: lastSegment, startLsn, position: undefined }
}

/** A range, and what keeps it from being read. */
interface PlannedRange {
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
