import { formatLsn } from '../postgres/lsn.js'
import type { TimelineHistoryEntry } from '../postgres/timeline-history.js'
import type { WalRange } from './model.js'

/** Where a backup starts and ends. */
export interface BackupPositions {
  readonly startLsn: bigint
  readonly startTimeline: number
  readonly endLsn: bigint
  readonly endTimeline: number
}

/**
 * The WAL ranges of a backup, newest timeline first, as the server works them out.
 *
 * @param history - of the end timeline, newest first
 * @returns a reason when the history does not lead from the start to the end
 * @see src/backend/backup/backup_manifest.c, AddWALInfoToBackupManifest
 */
export function walRangesOfPositions(
  positions: BackupPositions,
  history: readonly TimelineHistoryEntry[],
): WalRange[] | string {
  const { startLsn, startTimeline, endLsn, endTimeline } = positions
  const ranges: WalRange[] = []
  let rangeEnd = endLsn
  for (const entry of history) {
    if (entry.end !== undefined && entry.end < startLsn) continue
    if (ranges.length === 0 && entry.timeline !== endTimeline) {
      return `expected end timeline ${endTimeline} but found timeline ${entry.timeline}`
    }
    const isStart = entry.timeline === startTimeline
    if (!isStart && entry.begin === 0n) {
      return `expected start timeline ${startTimeline} but found timeline ${entry.timeline}`
    }
    ranges.push({ timeline: entry.timeline, startLsn: isStart ? startLsn : entry.begin, endLsn: rangeEnd })
    if (isStart) return ranges
    rangeEnd = entry.begin
  }
  return `start timeline ${startTimeline} not found in history of timeline ${endTimeline}`
}

/** What is wrong with a list of ranges, newest timeline first; nothing when they make one unbroken stretch. */
export function findWalRangeFaults(ranges: readonly WalRange[]): string[] {
  const faults: string[] = []
  for (const [index, range] of ranges.entries()) {
    if (range.endLsn === range.startLsn) faults.push(`WAL range ${describe(range)} is empty`)
    if (range.endLsn < range.startLsn) faults.push(`WAL range ${describe(range)} is reversed`)
    const newer = ranges[index - 1]
    if (newer === undefined) continue
    if (newer.timeline === range.timeline) {
      faults.push(`WAL ranges ${describe(newer)} and ${describe(range)} are of the same timeline`)
    } else if (newer.startLsn > range.endLsn) {
      faults.push(`WAL ranges ${describe(range)} and ${describe(newer)} leave a gap between them`)
    } else if (newer.startLsn < range.endLsn) {
      faults.push(`WAL ranges ${describe(range)} and ${describe(newer)} overlap`)
    }
  }
  return faults
}

function describe(range: WalRange): string {
  return `${range.timeline},${formatLsn(range.startLsn)},${formatLsn(range.endLsn)}`
}
