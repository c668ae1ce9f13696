import { existsSync } from 'node:fs'
import type { WayGiver } from '../files/give-way.js'
import { NotARegularFileError } from '../files/open-regular-file.js'
import { describeSystemError } from '../files/system-error.js'
import { readMajorVersion } from '../manifest/cluster-files.js'
import type { WalRange } from '../manifest/model.js'
import type { ControlFile } from '../postgres/control-file.js'
import { formatLsn } from '../postgres/lsn.js'
import { walPageMagics } from '../postgres/wal-page-magics.js'
import { walSegmentsOfRange } from '../postgres/wal-segment.js'
import { checkWalSegment } from './check-wal-segment.js'
import type { ManifestContents } from './manifest-files.js'
import type { ProblemList } from './problems.js'
import type { Problem } from './report.js'
import { findWalSegmentSize } from './wal-segment-size.js'

/** Where the WAL is, and what cluster it should be of. */
export interface WalContext {
  readonly directory: string
  /** Where the segments are; `undefined`: `pg_wal` in the directory. */
  readonly walDirectory: string | undefined
  readonly manifest: ManifestContents
  readonly control: ControlFile | undefined
  readonly problems: ProblemList
  readonly way: WayGiver
}

/**
 * Checks that every segment that the WAL ranges need is there, has its size, and is of this cluster.
 *
 * The records in it are not read.
 */
export async function checkWal(context: WalContext): Promise<void> {
  const directories = walDirectories(context)
  const segmentSize = context.control?.walSegmentSize ?? findWalSegmentSize(directories)
  for (const range of context.manifest.walRanges) {
    if (range.endLsn <= range.startLsn) {
      context.problems.add(
        rangeProblem(
          range,
          `the range ends at ${formatLsn(range.endLsn)}, not after its start at ${formatLsn(range.startLsn)}`,
        ),
      )
    } else if (segmentSize === undefined) {
      const detail = `no WAL segment can be read in "${directories[0]}"`
      context.problems.add(walProblem('wal-missing', range, detail))
    } else {
      await checkRange(context, range, segmentSize, directories)
    }
  }
}

/** As pg_waldump looks: in the directory, then in pg_wal below it. */
function walDirectories({ directory, walDirectory }: WalContext): readonly string[] {
  return walDirectory === undefined ? [`${directory}/pg_wal`] : [walDirectory, `${walDirectory}/pg_wal`]
}

async function checkRange(
  context: WalContext,
  range: WalRange,
  segmentSize: number,
  directories: readonly string[],
): Promise<void> {
  const { control, manifest, problems, way } = context
  const major = readMajorVersion(context.directory)
  const missing = new MissingSegments(range, directories[0] ?? '', problems)
  for (const { name, segmentNumber } of walSegmentsOfRange(range, segmentSize)) {
    if (way.isDue) await way.giveWay()
    const path = directories
      .map((directory) => `${directory}/${name}`)
      .find((candidate) => existsSync(candidate))
    if (path === undefined) {
      missing.add(name)
      continue
    }
    missing.report()
    const fault = await explainFailure(
      checkWalSegment(
        {
          path,
          startLsn: segmentNumber * BigInt(segmentSize),
          endLsn: range.endLsn,
          size: segmentSize,
          timeline: range.timeline,
          systemIdentifier: manifest.summary.systemIdentifier ?? control?.systemIdentifier,
          magic: major === undefined ? undefined : walPageMagics.get(major),
        },
        way,
      ),
    )
    if (fault !== undefined)
      problems.add(walProblem('wal-invalid', range, `segment "${name}": ${fault}`, name))
  }
  missing.report()
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

/** Gathers segments that are missing one after the other, to say it once. */
class MissingSegments {
  readonly #range: WalRange
  readonly #directory: string
  readonly #problems: ProblemList
  #names: string[] = []

  constructor(range: WalRange, directory: string, problems: ProblemList) {
    this.#range = range
    this.#directory = directory
    this.#problems = problems
  }

  add(name: string): void {
    this.#names.push(name)
  }

  report(): void {
    const [first] = this.#names
    if (first === undefined) return
    const last = this.#names.at(-1)
    const what =
      this.#names.length === 1
        ? `segment "${first}" is`
        : `${this.#names.length} segments, "${first}" to "${last}", are`
    this.#names = []
    this.#problems.add(
      walProblem('wal-missing', this.#range, `${what} missing from "${this.#directory}"`, first),
    )
  }
}

function rangeProblem(range: WalRange, detail: string): Problem {
  return { kind: 'wal-range', message: firstLine(range), detail }
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
