import { isPbManifestError } from '../../errors.js'
import { readTimelineHistory } from '../../manifest/data-directory-files.js'
import { type TimelineHistoryEntry, timelineWithoutHistory } from '../../postgres/timeline-history.js'
import type { ChainMember } from './chain-member.js'
import type { ChainNotChecked, ChainProblem } from './chain-report.js'
import type { WalRange } from '../../manifest/model.js'
import { formatLsn } from '../../postgres/lsn.js'

/** Compares the WAL of each backup with where the next one starts. */
export function checkTimelines(
  members: readonly ChainMember[],
  onProblem: (problem: ChainProblem) => void,
): ChainNotChecked[] {
  const notChecked: ChainNotChecked[] = []
  for (const [index, member] of members.slice(1).entries()) {
    const before = members[index]
    const { directory, label } = member
    if (before === undefined || label === undefined) continue
    const timeline = label.startSegmentTimeline
    const history = findHistory(members, timeline, before)
    if (typeof history === 'string') {
      notChecked.push({ what: 'timeline-history', why: `backup at "${directory}": ${history}` })
      continue
    }
    const fault = findTimelineFault(before.walRanges, label.startLsn, history)
    if (fault !== undefined) {
      const message = `backup at "${before.directory}": ${fault}`
      onProblem({ kind: 'timeline', directory, message, previousDirectory: before.directory })
    }
  }
  return notChecked
}

/** The history of a timeline, from any of the backups, or why there is none. */
function findHistory(
  members: readonly ChainMember[],
  timeline: number,
  before: ChainMember,
): readonly TimelineHistoryEntry[] | string {
  if (timeline === 1) return timelineWithoutHistory(timeline)
  for (const { directory } of members.toReversed()) {
    try {
      const history = readTimelineHistory(`${directory}/pg_wal`, timeline)
      if (history !== undefined) return history
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      return error.message
    }
  }
  // Both on one timeline: where that began does not matter.
  const isSame = before.walRanges.length === 1 && before.walRanges[0]?.timeline === timeline
  return isSame ? timelineWithoutHistory(timeline) : `no backup has the history file of timeline ${timeline}`
}

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
