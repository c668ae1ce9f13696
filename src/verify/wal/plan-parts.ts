import type { WalPart } from './walk-part.js'

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
