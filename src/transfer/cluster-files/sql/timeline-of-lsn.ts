import type { TimelineHistoryEntry } from '../../../postgres/timeline-history.js'

/** The timeline, among these, that wrote the byte before `lsn`. @param history - newest first */
export function timelineBefore(lsn: bigint, history: readonly TimelineHistoryEntry[]): number | undefined {
  return history.find((entry) => entry.begin < lsn && (entry.end === undefined || lsn <= entry.end))?.timeline
}

/** The timeline, among these, that wrote the byte at `lsn`. @param history - newest first */
export function timelineAt(lsn: bigint, history: readonly TimelineHistoryEntry[]): number | undefined {
  return history.find((entry) => entry.begin <= lsn && (entry.end === undefined || lsn < entry.end))?.timeline
}
