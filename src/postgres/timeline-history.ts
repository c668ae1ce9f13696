import { badFile } from './bad-file.js'
import { parseLsn } from './lsn.js'
import { parsePositiveUnsignedInt32 } from './unsigned-int.js'
import { makeWalFileName, type WalFileName } from './wal-segment.js'

/** One timeline of a history, and the stretch of WAL that it contributes. */
export interface TimelineHistoryEntry {
  readonly timeline: number
  /** The first LSN of the timeline; 0 for the oldest. */
  readonly begin: bigint
  /** Where the next timeline took over, exclusive; `undefined` for the newest, which has not ended. */
  readonly end: bigint | undefined
}

/**
 * Names the history file of a timeline: `00000002.history`. Timeline 1 has none.
 *
 * @see src/include/access/xlog_internal.h (`TLHistoryFileName`)
 */
export function timelineHistoryFileName(timeline: number): WalFileName {
  return makeWalFileName(`${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`)
}

/**
 * Gives the history of a timeline that has no history file: the timeline alone, without ancestors.
 *
 * @see src/backend/access/transam/timeline.c (`readTimeLineHistory`)
 */
export function timelineWithoutHistory(timeline: number): readonly TimelineHistoryEntry[] {
  return [{ timeline, begin: 0n, end: undefined }]
}

/**
 * Reads a timeline history file, the list of a timeline's ancestors and of the positions where each was left.
 *
 * A line is the ancestor's id, blanks, the LSN at which the next timeline began, and a reason in free words. Blank lines
 * and lines that begin with `#` say nothing. Switch points may go backwards: the server writes such a file when it
 * recovers to a point before its target timeline was forked off, and reads it without complaint.
 *
 * @param text - the file's text.
 * @param timeline - the timeline whose history it is: the number in the file's name.
 * @param name - the file's name, for messages.
 * @returns newest (`timeline` itself) first.
 * @throws PbManifestError `BAD_FILE` when a line has no timeline or no LSN, or when the timelines do not increase.
 * @see src/backend/access/transam/timeline.c (`readTimeLineHistory`)
 */
export function parseTimelineHistory(
  text: string,
  timeline: number,
  name: string,
): readonly TimelineHistoryEntry[] {
  const oldestFirst: TimelineHistoryEntry[] = []
  let begin = 0n
  for (const line of text.split('\n').filter(isEntryLine)) {
    const ancestor = parseEntryLine(line, name)
    const previous = oldestFirst.at(-1)
    if (previous !== undefined && ancestor.timeline <= previous.timeline) {
      throw badLine(name, 'invalid data', line, 'timeline IDs must be in increasing sequence')
    }
    oldestFirst.push({ timeline: ancestor.timeline, begin, end: ancestor.switchPoint })
    begin = ancestor.switchPoint
  }
  const last = oldestFirst.at(-1)
  if (last !== undefined && last.timeline >= timeline) {
    throw badFile(name, "invalid data in history file: timeline IDs must be less than child timeline's ID")
  }
  oldestFirst.push({ timeline, begin, end: undefined })
  return oldestFirst.toReversed()
}

/** The timeline, among these, that wrote the byte before `lsn`. @param history - newest first */
export function timelineBefore(lsn: bigint, history: readonly TimelineHistoryEntry[]): number | undefined {
  return history.find((entry) => entry.begin < lsn && (entry.end === undefined || lsn <= entry.end))?.timeline
}

/** The timeline, among these, that wrote the byte at `lsn`. @param history - newest first */
export function timelineAt(lsn: bigint, history: readonly TimelineHistoryEntry[]): number | undefined {
  return history.find((entry) => entry.begin <= lsn && (entry.end === undefined || lsn < entry.end))?.timeline
}

function isEntryLine(line: string): boolean {
  return /^\s*[^\s#]/.test(line)
}

function parseEntryLine(line: string, name: string): { timeline: number; switchPoint: bigint } {
  const [timelineText = '', lsnText = ''] = line.trim().split(/\s+/)
  const timeline = parsePositiveUnsignedInt32(timelineText)
  if (timeline === undefined) throw badLine(name, 'syntax error', line, 'expected a numeric timeline ID')
  const switchPoint = parseLsn(lsnText)
  if (switchPoint === undefined) {
    throw badLine(name, 'syntax error', line, 'expected a write-ahead log switchpoint location')
  }
  return { timeline, switchPoint }
}

function badLine(name: string, kind: string, line: string, expected: string): Error {
  return badFile(name, `${kind} in history file: ${JSON.stringify(line)}, ${expected}`)
}
