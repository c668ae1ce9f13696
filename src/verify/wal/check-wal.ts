import { isPbManifestError } from '../../errors.js'
import type { Yielder } from '../../files/yielder.js'
import { parseMajorVersion } from '../../manifest/data-directory-files.js'
import {
  type FirstTouches,
  mergeTouches,
  noTouches,
  type WantedBlocks,
} from '../../postgres/wal/block-touches.js'
import type { WalRange } from '../../manifest/model.js'
import type { ControlFile } from '../../postgres/control-file.js'
import {
  findVersion,
  mayBePageMagic,
  newestVersion,
  postgresVersions,
  type PostgresVersion,
  type WalFormat,
} from '../../postgres/versions.js'
import { WAL_BLOCK_SIZE } from '../../postgres/wal-page-header.js'
import {
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  walSegmentName,
} from '../../postgres/wal-segment.js'
import type { ReadSmallBackupFile } from '../verify-context.js'
import type { IgnoreRules } from '../ignore-rules.js'
import type { ManifestContents } from '../manifest-files.js'
import type { ProblemList } from '../problems.js'
import type { NotChecked } from '../report.js'
import { findRuns, planRanges, type SegmentRun } from './plan-parts.js'
import {
  emptyRangeProblem,
  faultProblem,
  missingSegmentsProblem,
  nothingReadableProblem,
  overlappingRangeProblem,
} from './wal-problems.js'
import { findWalSegmentSize, readFirstPageHeader } from './wal-segment-size.js'
import type { WalSource } from './wal-source.js'
import { wrongSize } from './walk-part.js'
import { walkRun } from './walk-run.js'

/** `PG_VERSION` has three. */
const MAX_VERSION_BYTES = 1024

/** Where the WAL is, and what cluster it should be of. */
export interface WalContext {
  readonly source: WalSource
  readonly readSmallFile: ReadSmallBackupFile
  readonly jobs: number
  readonly signal: AbortSignal | undefined
  /** What is read in a second, in kB; `undefined`: no limit. */
  readonly maxRate?: number | undefined
  readonly manifest: ManifestContents
  readonly control: ControlFile | undefined
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly notChecked: NotChecked[]
  /** Is added to. */
  readonly totals: WalTotals
  readonly yielder: Yielder
  /** Blocks of which it is to be known whether replay writes them anew. */
  readonly wanted: WantedBlocks
}

/** How much WAL was read and found good. */
export interface WalTotals {
  walRecords: number
  walBytes: number
}

/**
 * Checks that every segment that the WAL ranges need is there, and every record in them, from start to end.
 *
 * @returns what the records touch of the wanted blocks; `undefined` when not all of them could be read, so that it is not
 * known
 */
export async function checkWal(context: WalContext): Promise<FirstTouches | undefined> {
  const { control, manifest, problems, source, wanted } = context
  if (manifest.walRanges.length === 0) return undefined
  const segmentSize = control?.walSegmentSize ?? (await findWalSegmentSize(source))
  const version = findClusterVersion(context)
  const touches = noTouches(wanted)
  let isWhole = true
  for (const { range, overlapped } of planRanges(manifest.walRanges)) {
    if (range.endLsn <= range.startLsn) problems.add(emptyRangeProblem(range))
    else if (overlapped !== undefined) problems.add(overlappingRangeProblem(range, overlapped))
    else if (segmentSize === undefined) problems.add(nothingReadableProblem(range, source))
    else {
      const found = await checkRange(context, range, { source, segmentSize, version })
      for (const part of found ?? []) mergeTouches(touches, part)
      if (found !== undefined) continue
    }
    isWhole = false
  }
  return isWhole ? touches : undefined
}

/** The cluster's version, where that can be read; says so when it is one whose WAL cannot be. */
function findClusterVersion({ source, readSmallFile, ignore, notChecked }: WalContext): Segments['version'] {
  if (source.whyNoBytes !== undefined) {
    notChecked.push({ what: 'wal-records', why: source.whyNoBytes })
    return undefined
  }
  if (ignore.covers('PG_VERSION')) return undefined
  try {
    const major = parseMajorVersion(readSmallFile('PG_VERSION', MAX_VERSION_BYTES))
    if (major === undefined) return undefined
    const version = findVersion(major)
    if (version !== undefined) return version
    notChecked.push({
      what: 'wal-records',
      why: `this version does not know the WAL of PostgreSQL ${major}`,
    })
    return 'not known'
  } catch (error) {
    // What is wrong with the file has been reported by the scan or the checksums.
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}

/** What is known of all segments. */
interface Segments {
  readonly source: WalSource
  readonly segmentSize: number
  /** `undefined`: what the first segment says. */
  readonly version: PostgresVersion | 'not known' | undefined
}

/** What the runs of a range touch; `undefined` when not all of it was read. */
async function checkRange(
  context: WalContext,
  range: WalRange,
  segments: Segments,
): Promise<readonly FirstTouches[] | undefined> {
  const { problems } = context
  const { source, segmentSize } = segments
  const firstSegment = segmentHoldingStart(range.startLsn, segmentSize)
  let next = firstSegment
  const touches: FirstTouches[] = []
  let isWhole = true
  const reportMissingBefore = (segment: bigint): void => {
    if (next >= segment) return
    isWhole = false
    problems.add(missingSegmentsProblem(range, segments, next, segment - 1n))
  }
  for (const run of findRuns(presentSegments(range, segments))) {
    reportMissingBefore(run.firstSegment)
    next = run.lastSegment + 1n
    const startLsn = run.firstSegment === firstSegment ? range.startLsn : undefined
    if (source.whyNoBytes === undefined) {
      const found = await checkRun(context, range, segments, { ...run, startLsn })
      touches.push(...(found ?? []))
      isWhole &&= found !== undefined
    } else {
      checkSizes(context, range, segments, run)
      isWhole = false
    }
  }
  reportMissingBefore(segmentHoldingEnd(range.endLsn, segmentSize) + 1n)
  return isWhole ? touches : undefined
}

/** The numbers of the range's segments that are there, in order. */
function presentSegments(range: WalRange, { source, segmentSize }: Segments): bigint[] {
  const first = segmentHoldingStart(range.startLsn, segmentSize)
  const last = segmentHoldingEnd(range.endLsn, segmentSize)
  const present = source.names.flatMap((name) => {
    const segment = parseWalSegmentName(name, segmentSize)
    if (segment === undefined || segment.timeline !== range.timeline) return []
    const { segmentNumber } = segment
    return segmentNumber < first || segmentNumber > last ? [] : [segmentNumber]
  })
  return present.toSorted((left, right) => (left < right ? -1 : 1))
}

/** All that can be said of segments of which no bytes can be had. */
function checkSizes(
  { problems }: WalContext,
  range: WalRange,
  { source, segmentSize }: Segments,
  { firstSegment, lastSegment }: { readonly firstSegment: bigint; readonly lastSegment: bigint },
): void {
  for (let segment = firstSegment; segment <= lastSegment; segment++) {
    const { size } = source.open(walSegmentName(range.timeline, segment, segmentSize))
    if (size === segmentSize) continue
    problems.add(
      faultProblem(range, segmentSize, wrongSize(segment * BigInt(segmentSize), size, segmentSize)),
    )
  }
}

/** What the records of a run touch; `undefined` when they were not all read. */
async function checkRun(
  context: WalContext,
  range: WalRange,
  segments: Segments,
  run: SegmentRun,
): Promise<readonly FirstTouches[] | undefined> {
  const { manifest, control, problems, totals } = context
  const wanted = context.wanted.length === 0 ? undefined : context.wanted
  const { source, segmentSize, version } = segments
  if (version === 'not known') return undefined
  const format = await formatOfRun(context, range, { source, segmentSize, version }, run)
  if (format === undefined) return undefined
  const { pageMagic } = format
  const { timeline, endLsn } = range
  const systemIdentifier = manifest.summary.systemIdentifier ?? control?.systemIdentifier
  const expected = { pageMagic, timeline, segmentSize, systemIdentifier, endLsn, wanted }
  const { records, fault, touches } = await walkRun({ ...context, source }, expected, run)
  const startLsn = run.startLsn ?? run.firstSegment * BigInt(segmentSize)
  const walkedTo = fault?.lsn ?? minimum(endLsn, (run.lastSegment + 1n) * BigInt(segmentSize))
  totals.walRecords += records
  if (walkedTo > startLsn) totals.walBytes += Number(walkedTo - startLsn)
  if (fault === undefined) return touches
  problems.add(faultProblem(range, segmentSize, fault))
  return undefined
}

/**
 * The format that the first page of a run is of; a guess when it is of none that it could be of, so that the page is
 * refused. `undefined`, and said so, when it may be of a build that came after this program.
 */
async function formatOfRun(
  { notChecked }: WalContext,
  range: WalRange,
  { source, segmentSize, version }: Segments & { readonly version: PostgresVersion | undefined },
  { firstSegment }: SegmentRun,
): Promise<WalFormat | undefined> {
  const formats = version?.walFormats ?? postgresVersions.flatMap((known) => known.walFormats)
  const [likely] = version?.walFormats ?? newestVersion.walFormats
  if (formats.length === 1) return likely
  const header = await readFirstPageHeader(source, walSegmentName(range.timeline, firstSegment, segmentSize))
  const found = formats.find((format) => format.pageMagic === header?.magic)
  if (found !== undefined || header === undefined) return found ?? likely
  const isWhole = header.long?.segmentSize === segmentSize && header.long.blockSize === WAL_BLOCK_SIZE
  if (!isWhole || !mayBePageMagic(header.magic)) return likely
  const why = `this version does not know WAL with magic number ${header.magic.toString(16).toUpperCase()}`
  if (!notChecked.some((left) => left.what === 'wal-records')) notChecked.push({ what: 'wal-records', why })
  return undefined
}

function minimum(left: bigint, right: bigint): bigint {
  return left < right ? left : right
}
