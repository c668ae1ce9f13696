import { formatLsn } from '../../postgres/lsn.js'
import type { ChainMember } from './chain-member.js'
import type { ChainNotChecked, ChainProblem, ChainProblemKind } from './chain-report.js'
import { isPbManifestError } from '../../errors.js'
import { readTimelineHistory } from '../../manifest/data-directory-files.js'
import { type TimelineHistoryEntry, timelineWithoutHistory } from '../../postgres/timeline-history.js'
import type { WalRange } from '../../manifest/model.js'
import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../../files/pathname.js'
import { openManifest, scanManifest } from '../../manifest/read-manifest.js'
import { findPageFile, wholeFilePathname } from '../../postgres/data-page/page-files.js'
import type { FileTable } from '../file-table/file-table.js'

/**
 * What is wrong between the backups of a chain: all that pg_combinebackup refuses, and what it only warns of although
 * the result could not be read.
 *
 * @param members - the full backup first, then each incremental one after the one that it builds on
 * @see src/bin/pg_combinebackup/pg_combinebackup.c (`check_control_files`, `check_backup_label_files`)
 */
export function findChainFaults(members: readonly ChainMember[]): ChainProblem[] {
  const faults = members.flatMap((member, index) => [
    ...findManifestFaults(member),
    ...findOtherCluster(member, members[0]),
    ...findWrongPlace(member, members[index - 1]),
  ])
  return [...faults, ...findPagesWithoutChecksum(members)]
}

function findManifestFaults({ directory, manifestVersion }: ChainMember): ChainProblem[] {
  if (manifestVersion !== 1) return []
  const message = `backup at "${directory}": backup manifest version 1 does not support incremental backup`
  return [{ kind: 'manifest-version', directory, message }]
}

function findOtherCluster(member: ChainMember, first: ChainMember | undefined): ChainProblem[] {
  const { directory, control } = member
  const expected = first?.control
  if (control === undefined || expected === undefined) return []
  if (control.systemIdentifier !== expected.systemIdentifier) {
    const found = `expected system identifier ${expected.systemIdentifier}, but found ${control.systemIdentifier}`
    const systemIdentifier = {
      expected: String(expected.systemIdentifier),
      found: String(control.systemIdentifier),
    }
    return [{ ...problem('cluster', directory, `: ${found}`), systemIdentifier }]
  }
  // An upgraded cluster gets a new identifier, but a copied pg_control may say anything.
  if (control.catalogVersion !== expected.catalogVersion) {
    const found = `expected catalog version ${expected.catalogVersion}, but found ${control.catalogVersion}`
    const catalogVersion = { expected: expected.catalogVersion, found: control.catalogVersion }
    return [{ ...problem('cluster', directory, `: ${found}`), catalogVersion }]
  }
  return []
}

/**
 * The last backup's pg_control becomes that of the result: where it says that pages have checksums, those of the earlier
 * backups have to have them. That checksums were switched off since does no harm.
 */
function findPagesWithoutChecksum(members: readonly ChainMember[]): ChainProblem[] {
  const last = members.at(-1)
  const version = last?.control?.dataChecksumVersion ?? 0
  if (last === undefined || version === 0) return []
  const areOthers = members.some(
    ({ control }) => control !== undefined && control.dataChecksumVersion !== version,
  )
  return areOthers
    ? [problem('data-checksums', last.directory, ': only some backups have checksums enabled')]
    : []
}

function findWrongPlace(member: ChainMember, before: ChainMember | undefined): ChainProblem[] {
  const { directory, label } = member
  if (label === undefined) return []
  const from = label.incrementalFrom
  if (before === undefined) {
    if (from === undefined) return []
    return [
      problem('order', directory, ' is an incremental backup, but the first backup should be a full backup'),
    ]
  }
  if (from === undefined) {
    return [
      problem('order', directory, ' is a full backup, but only the first backup should be a full backup'),
    ]
  }
  if (before.label === undefined) return []
  const { startLsn, startSegmentTimeline } = before.label
  const what = `backup at "${before.directory}"`
  if (startSegmentTimeline !== from.timeline) {
    const message = `${what} starts on timeline ${startSegmentTimeline}, but expected ${from.timeline}`
    const startTimeline = { expected: from.timeline, found: startSegmentTimeline }
    return [{ kind: 'predecessor', directory, message, previousDirectory: before.directory, startTimeline }]
  }
  if (startLsn !== from.lsn) {
    const message = `${what} starts at LSN ${formatLsn(startLsn)}, but expected ${formatLsn(from.lsn)}`
    const found = { expected: formatLsn(from.lsn), found: formatLsn(startLsn) }
    return [{ kind: 'predecessor', directory, message, previousDirectory: before.directory, startLsn: found }]
  }
  return []
}

function problem(kind: ChainProblemKind, directory: string, what: string): ChainProblem {
  return { kind, directory, message: `backup at "${directory}"${what}` }
}

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

/**
 * Finds incremental files that have nothing to be combined with: the file is not in the backup before. The server never
 * writes such a one, but two backups of a standby may begin at the same LSN, and so be taken for each other.
 *
 * Each manifest of which there is no table is read once more; what is kept of it is the names of its incremental files.
 *
 * @param tables - the files of each member, as far as somebody has them
 */
export async function findMissingFiles(
  members: readonly ChainMember[],
  signal: AbortSignal | undefined,
  tables: readonly (FileTable | undefined)[] = [],
): Promise<ChainProblem[]> {
  const problems: ChainProblem[] = []
  let later: ChainMember | undefined
  /** Whole files that the later backup's incremental files need. */
  let needed = new Set<Pathname>()
  for (const [index, member] of [...members.entries()].toReversed()) {
    const next = new Set<Pathname>()
    const meet = (pathname: Pathname): void => {
      const isIncremental = findPageFile(pathname)?.isIncremental === true
      const whole = isIncremental ? wholeFilePathname(pathname) : pathname
      needed.delete(whole)
      if (isIncremental) next.add(whole)
    }
    const table = tables[index]
    if (table === undefined) await readPathnames(member, signal, meet)
    else for (let row = 0; row < table.rows; row++) meet(table.pathname(row))
    if (later !== undefined) problems.unshift(...missingFiles(needed, later, member))
    later = member
    needed = next
  }
  return problems
}

async function readPathnames(
  { manifestPath }: ChainMember,
  signal: AbortSignal | undefined,
  onPathname: (pathname: Pathname) => void,
): Promise<void> {
  const found = {
    file: ({ pathname }: { readonly pathname: Pathname }) => onPathname(pathname),
    walRange: () => {},
  }
  await scanManifest(await openManifest(manifestPath), found, { ...(signal && { signal }) })
}

function missingFiles(
  needed: ReadonlySet<Pathname>,
  later: ChainMember,
  before: ChainMember,
): ChainProblem[] {
  const { directory } = later
  return [...needed].map((pathname) => ({
    kind: 'missing-file',
    directory,
    message: `backup at "${directory}" has changed pages of "${displayPathname(pathname)}", which backup at "${before.directory}" does not have`,
    ...(isUtf8Pathname(pathname)
      ? { path: pathname }
      : { encodedPath: encodePathname(pathname).toString('hex') }),
    previousDirectory: before.directory,
  }))
}
