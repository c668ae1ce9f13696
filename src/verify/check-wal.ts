import { isPbManifestError } from '../errors.js'
import type { WayGiver } from '../files/give-way.js'
import { NotARegularFileError } from '../files/open-regular-file.js'
import { describeSystemError } from '../files/system-error.js'
import { readMajorVersion } from '../manifest/cluster-files.js'
import type { WalRange } from '../manifest/model.js'
import type { ControlFile } from '../postgres/control-file.js'
import { formatLsn } from '../postgres/lsn.js'
import { walPageMagics } from '../postgres/wal-page-magics.js'
import {
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  walSegmentName,
} from '../postgres/wal-segment.js'
import { checkWalSegment } from './check-wal-segment.js'
import type { IgnoreRules } from './ignore-rules.js'
import type { ManifestContents } from './manifest-files.js'
import type { ProblemList } from './problems.js'
import type { Problem } from './report.js'
import { listWalFiles, type WalFiles } from './wal-files.js'
import { findWalSegmentSize } from './wal-segment-size.js'

/** Where the WAL is, and what cluster it should be of. */
export interface WalContext {
  readonly directory: string
  /** Where the segments are; `undefined`: `pg_wal` in the directory. */
  readonly walDirectory: string | undefined
  readonly manifest: ManifestContents
  readonly control: ControlFile | undefined
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly way: WayGiver
}

/**
 * Checks that every segment that the WAL ranges need is there, has its size, and is of this cluster.
 *
 * The records in it are not read.
 */
export async function checkWal(context: WalContext): Promise<void> {
  const { control, manifest, problems } = context
  const files = listWalFiles(walDirectories(context))
  const segmentSize = control?.walSegmentSize ?? findWalSegmentSize(files.paths.values())
  const magic = expectedMagic(context)
  for (const range of manifest.walRanges) {
    if (range.endLsn <= range.startLsn) {
      problems.add(
        rangeProblem(
          range,
          `the range ends at ${formatLsn(range.endLsn)}, not after its start at ${formatLsn(range.startLsn)}`,
        ),
      )
    } else if (segmentSize === undefined) {
      problems.add(missingProblem(range, 'no WAL segment can be read', files))
    } else {
      await checkRange(context, range, { files, segmentSize, magic })
    }
  }
}

/** As pg_waldump looks: in the directory, then in pg_wal below it. */
function walDirectories({ directory, walDirectory }: WalContext): readonly [string, ...string[]] {
  return walDirectory === undefined ? [`${directory}/pg_wal`] : [walDirectory, `${walDirectory}/pg_wal`]
}

/** By the cluster's version, where that can be read. */
function expectedMagic({ directory, ignore }: WalContext): number | undefined {
  if (ignore.covers('PG_VERSION')) return undefined
  try {
    const major = readMajorVersion(directory)
    return major === undefined ? undefined : walPageMagics.get(major)
  } catch (error) {
    // What is wrong with the file has been reported by the scan or the checksums.
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}

/** What is known of all segments. */
interface Segments {
  readonly files: WalFiles
  readonly segmentSize: number
  /** The page magic of the cluster's version. */
  readonly magic: number | undefined
}

async function checkRange(context: WalContext, range: WalRange, segments: Segments): Promise<void> {
  const { control, manifest, problems, way } = context
  const { files, segmentSize, magic } = segments
  let next = segmentHoldingStart(range.startLsn, segmentSize)
  const reportMissingBefore = (end: bigint): void => {
    if (next >= end) return
    const first = walSegmentName(range.timeline, next, segmentSize)
    const last = walSegmentName(range.timeline, end - 1n, segmentSize)
    const count = end - next
    const what = count === 1n ? `segment "${first}" is` : `${count} segments, "${first}" to "${last}", are`
    problems.add(missingProblem(range, `${what} missing`, files, first))
  }
  for (const { name, path, segmentNumber } of presentSegments(range, segments)) {
    reportMissingBefore(segmentNumber)
    next = segmentNumber + 1n
    const fault = await explainFailure(
      checkWalSegment(
        {
          path,
          startLsn: segmentNumber * BigInt(segmentSize),
          endLsn: range.endLsn,
          size: segmentSize,
          timeline: range.timeline,
          systemIdentifier: manifest.summary.systemIdentifier ?? control?.systemIdentifier,
          magic,
        },
        way,
      ),
    )
    if (fault !== undefined)
      problems.add(walProblem('wal-invalid', range, `segment "${name}": ${fault}`, name))
    if (way.isDue) await way.giveWay()
  }
  reportMissingBefore(segmentHoldingEnd(range.endLsn, segmentSize) + 1n)
}

/** The segments of the range that are there, in their order. */
function presentSegments(
  range: WalRange,
  { files, segmentSize }: Segments,
): { readonly name: string; readonly path: string; readonly segmentNumber: bigint }[] {
  const first = segmentHoldingStart(range.startLsn, segmentSize)
  const last = segmentHoldingEnd(range.endLsn, segmentSize)
  const present = [...files.paths].flatMap(([name, path]) => {
    const segment = parseWalSegmentName(name, segmentSize)
    if (segment === undefined || segment.timeline !== range.timeline) return []
    const { segmentNumber } = segment
    return segmentNumber < first || segmentNumber > last ? [] : [{ name, path, segmentNumber }]
  })
  return present.toSorted((left, right) => Number(left.segmentNumber - right.segmentNumber))
}

async function explainFailure(check: Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await check
  } catch (error) {
    if (error instanceof NotARegularFileError) return error.message
    const description = describeSystemError(error)
    if (description === undefined) throw error
    return description.message
  }
}

function rangeProblem(range: WalRange, detail: string): Problem {
  return { kind: 'wal-range', message: firstLine(range), detail }
}

function missingProblem(range: WalRange, what: string, files: WalFiles, segment?: string): Problem {
  const why = files.failure === undefined ? '' : `: ${files.failure}`
  return walProblem('wal-missing', range, `${what} from "${files.directory}"${why}`, segment)
}

function walProblem(
  kind: 'wal-missing' | 'wal-invalid',
  range: WalRange,
  detail: string,
  segment?: string,
): Problem {
  return {
    kind,
    ...(segment !== undefined && { path: `pg_wal/${segment}` }),
    message: firstLine(range),
    detail,
  }
}

/** What existing scripts look for. */
function firstLine(range: WalRange): string {
  return `WAL parsing failed for timeline ${range.timeline}`
}
