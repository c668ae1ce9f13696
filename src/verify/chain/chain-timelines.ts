import { isPbManifestError } from '../../errors.js'
import { readTimelineHistory } from '../../manifest/data-directory-files.js'
import { type TimelineHistoryEntry, timelineWithoutHistory } from '../../postgres/timeline-history.js'
import type { ChainMember } from './chain-member.js'
import type { ChainNotChecked, ChainProblem } from './chain-report.js'
import { findTimelineFault } from './timeline-fit.js'

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
      onProblem({ kind: 'timeline', directory, message: `backup at "${before.directory}": ${fault}` })
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
