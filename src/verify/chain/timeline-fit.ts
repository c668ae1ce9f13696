import type { WalRange } from '../../manifest/model.js'
import { formatLsn } from '../../postgres/lsn.js'
import type { TimelineHistoryEntry } from '../../postgres/timeline-history.js'

/**
 * Why the WAL of a backup does not lead to the start of the next one, which builds on it; nothing when it does. The
 * server checks the same when it is given the earlier backup's manifest.
 *
 * @param ranges - of the earlier backup, newest timeline first
 * @param startLsn - of the later backup
 * @param history - of the timeline on which the later backup starts, newest first
 * @see src/backend/backup/basebackup_incremental.c (`PrepareForIncrementalBackup`)
 */
export function findTimelineFault(
  ranges: readonly WalRange[],
  startLsn: bigint,
  history: readonly TimelineHistoryEntry[],
): string | undefined {
  for (const [index, { timeline, startLsn: rangeStart, endLsn: rangeEnd }] of ranges.entries()) {
    const entry = history.find((entry) => entry.timeline === timeline)
    if (entry === undefined)
      return `its timeline ${timeline} is not in the history of the next backup's timeline`
    const isOldest = index === ranges.length - 1
    if (isOldest ? rangeStart < entry.begin : rangeStart !== entry.begin) {
      return `its WAL on timeline ${timeline} starts at ${formatLsn(rangeStart)}, but that timeline at ${formatLsn(entry.begin)}`
    }
    // Where the timeline was left, or the next backup starts, whichever comes first.
    if (index === 0 && rangeEnd > startLsn) {
      return `its WAL ends at ${formatLsn(rangeEnd)}, after the start of the next backup at ${formatLsn(startLsn)}`
    }
    if (index === 0 && entry.end !== undefined && rangeEnd > entry.end) {
      return `its WAL ends at ${formatLsn(rangeEnd)}, but timeline ${timeline} was left at ${formatLsn(entry.end)}`
    }
    if (index > 0 && rangeEnd !== entry.end) {
      return `its WAL on timeline ${timeline} ends at ${formatLsn(rangeEnd)}, which is not where that timeline was left`
    }
  }
  return undefined
}
