import {
  segmentHoldingEnd,
  segmentHoldingStart,
  type WalFileName,
  walSegmentName,
} from '../../src/postgres/wal-segment.js'

/** A stretch of WAL on one timeline, from `startLsn` up to but not including `endLsn`. */
interface WalSegmentRange {
  readonly timeline: number
  readonly startLsn: bigint
  readonly endLsn: bigint
}

/**
 * Lists the WAL segments that hold a range, in order, named for the range's timeline. An empty or reversed range is
 * held by none.
 *
 * @see src/backend/backup/basebackup.c (`perform_base_backup`, which sends the same segments)
 */
export function* walSegmentsOfRange(
  range: WalSegmentRange,
  segmentSize: number,
): Generator<{ readonly segmentNumber: bigint; readonly name: WalFileName }, void, undefined> {
  if (range.endLsn <= range.startLsn) return
  const last = segmentHoldingEnd(range.endLsn, segmentSize)
  for (
    let segmentNumber = segmentHoldingStart(range.startLsn, segmentSize);
    segmentNumber <= last;
    segmentNumber++
  ) {
    yield { segmentNumber, name: walSegmentName(range.timeline, segmentNumber, segmentSize) }
  }
}
