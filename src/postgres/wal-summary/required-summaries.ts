import { formatLsn, type LsnDigits } from '../lsn.js'
import type { TimelineHistoryEntry } from '../timeline-history.js'
import type { WalSummary } from './summary-file.js'

/** The WAL that a backup needs, of one timeline, as its manifest says. */
interface NeededWal {
  readonly timeline: number
  readonly startLsn: bigint
  readonly endLsn: bigint
}

/** Where a backup starts. */
export interface StartPoint {
  readonly lsn: bigint
  readonly timeline: number
}

/** Why there can be no incremental backup, in the server's words. */
export interface Refused {
  readonly fault: string
  readonly detail?: string
  readonly hint?: string
}

interface HistoryOptions {
  /** Of the timeline on which the new backup starts, newest first. */
  readonly history: readonly TimelineHistoryEntry[]
  /** Where the new backup starts. */
  readonly start: StartPoint
  readonly lsnDigits: LsnDigits
}

/**
 * Checks that a prior backup is of an earlier state of this server, as far as the WAL that it needs can tell.
 *
 * @param ranges - of its manifest
 * @returns where the prior backup started
 * @see src/backend/backup/basebackup_incremental.c (`PrepareForIncrementalBackup`)
 */
export function findPriorStart(
  ranges: readonly NeededWal[],
  { history, start, lsnDigits }: HistoryOptions,
): StartPoint | Refused {
  const lsn = (value: bigint | undefined): string => formatLsn(value ?? 0n, lsnDigits)
  if (ranges.length === 0) return { fault: 'manifest contains no required WAL ranges' }
  const ages = ranges.map(({ timeline }) => history.findIndex((entry) => entry.timeline === timeline))
  const stranger = ranges[ages.indexOf(-1)]
  if (stranger !== undefined) {
    return {
      fault: `timeline ${stranger.timeline} found in manifest, but not in this server's history`,
      hint: 'The prior backup has to be of this server, or of one that it was made from.',
    }
  }
  const earliest = ranges[ages.indexOf(Math.max(...ages))]
  const latest = ranges[ages.indexOf(Math.min(...ages))]
  for (const range of ranges) {
    const { timeline, startLsn, endLsn } = range
    const entry = history.find((candidate) => candidate.timeline === timeline)
    const requires = `manifest requires WAL from`
    if (timeline === earliest?.timeline && startLsn < (entry?.begin ?? 0n)) {
      return {
        fault: `${requires} initial timeline ${timeline} starting at ${lsn(startLsn)}, but that timeline begins at ${lsn(entry?.begin)}`,
      }
    }
    if (timeline !== earliest?.timeline && startLsn !== entry?.begin) {
      return {
        fault: `${requires} continuation timeline ${timeline} starting at ${lsn(startLsn)}, but that timeline begins at ${lsn(entry?.begin)}`,
      }
    }
    if (timeline === latest?.timeline && endLsn > start.lsn) {
      return {
        fault: `${requires} final timeline ${timeline} ending at ${lsn(endLsn)}, but this backup starts at ${lsn(start.lsn)}`,
        hint: 'This can happen for incremental backups on a standby if there was little activity since the previous backup.',
      }
    }
    if (timeline !== latest?.timeline && endLsn !== entry?.end) {
      return {
        fault: `${requires} non-final timeline ${timeline} ending at ${lsn(endLsn)}, but this server switched timelines at ${lsn(entry?.end)}`,
      }
    }
  }
  return { lsn: earliest?.startLsn ?? 0n, timeline: earliest?.timeline ?? 0 }
}

/**
 * Chooses the summaries of all WAL from the start of the prior backup to that of the new one. There must be no gap.
 *
 * @param available - all that there are, in any order
 * @param prior - what {@link findPriorStart} found
 * @returns oldest first
 * @see src/backend/backup/walsummary.c (`FilterWalSummaries`, `WalSummariesAreComplete`)
 */
export function chooseSummaries(
  available: readonly WalSummary[],
  prior: StartPoint,
  { history, start, lsnDigits }: HistoryOptions,
): readonly WalSummary[] | Refused {
  const chosen: WalSummary[] = []
  for (const entry of history) {
    const from = entry.timeline === prior.timeline ? prior.lsn : entry.begin
    const to = entry.timeline === start.timeline ? start.lsn : (entry.end ?? start.lsn)
    const ofTimeline = available
      .filter(
        ({ timeline, startLsn, endLsn }) => timeline === entry.timeline && endLsn > from && startLsn < to,
      )
      .toSorted((left, right) => (left.startLsn < right.startLsn ? -1 : 1))
    const missing = firstMissing(ofTimeline, from, to)
    if (missing !== undefined) {
      const stretch = `on timeline ${entry.timeline} from ${formatLsn(from, lsnDigits)} to ${formatLsn(to, lsnDigits)}`
      const hint =
        'Take a full backup. Summaries are kept for wal_summary_keep_time, and made while summarize_wal is on.'
      return ofTimeline.length === 0
        ? {
            fault: `WAL summaries are required ${stretch}, but no summaries for that timeline and LSN range exist`,
            hint,
          }
        : {
            fault: `WAL summaries are required ${stretch}, but the summaries for that timeline and LSN range are incomplete`,
            detail: `The first unsummarized LSN in this range is ${formatLsn(missing, lsnDigits)}.`,
            hint,
          }
    }
    chosen.unshift(...ofTimeline)
    if (entry.timeline === prior.timeline) break
  }
  return chosen
}

/** @param summaries - by their start */
function firstMissing(summaries: readonly WalSummary[], from: bigint, to: bigint): bigint | undefined {
  let known = from
  for (const { startLsn, endLsn } of summaries) {
    if (startLsn > known) break
    if (endLsn > known) known = endLsn
  }
  return known < to ? known : undefined
}
