import type { WalRange } from '../../manifest/model.js'
import { formatLsn } from '../../postgres/lsn.js'
import { walSegmentName } from '../../postgres/wal-segment.js'
import type { Problem, ProblemFacts } from '../report.js'
import type { WalSource } from './wal-source.js'
import type { PartFault } from './walk-part.js'

/** A range that holds nothing. */
export function emptyRangeProblem(range: WalRange): Problem {
  const end = formatLsn(range.endLsn)
  const detail = `the range ends at ${end}, not after its start at ${formatLsn(range.startLsn)}`
  return { kind: 'wal-range', message: firstLine(range), detail, ...rangeFacts(range) }
}

/** A range that has WAL which another one has as well. */
export function overlappingRangeProblem(range: WalRange, other: WalRange): Problem {
  const detail = `the range ${lsnsOf(range)} overlaps the range ${lsnsOf(other)}`
  return { kind: 'wal-range', message: firstLine(range), detail, ...rangeFacts(range) }
}

/** No segment can be read, so that not even their size is known. */
export function nothingReadableProblem(range: WalRange, source: WalSource): Problem {
  return missingProblem(range, 'no WAL segment can be read', source)
}

/** Segments that are not there; the numbers include the last. */
export function missingSegmentsProblem(
  range: WalRange,
  { source, segmentSize }: { readonly source: WalSource; readonly segmentSize: number },
  firstSegment: bigint,
  lastSegment: bigint,
): Problem {
  const first = walSegmentName(range.timeline, firstSegment, segmentSize)
  const last = walSegmentName(range.timeline, lastSegment, segmentSize)
  const count = lastSegment - firstSegment + 1n
  const what = count === 1n ? `segment "${first}" is` : `${count} segments, "${first}" to "${last}", are`
  const partial = [first, last].find((name) => source.hasUnusedPartial(name))
  const hint =
    partial === undefined
      ? ''
      : `; "${partial}.partial" is there, but such files are used only when asked for`
  const facts = count === 1n ? { segment: first } : { segment: first, lastSegment: last }
  return missingProblem(range, `${what} missing`, source, facts, hint)
}

/** Something that is wrong in a segment: where in the range, and what. */
export function faultProblem(range: WalRange, segmentSize: number, fault: PartFault): Problem {
  const segment = fault.lsn / BigInt(segmentSize)
  const name = walSegmentName(range.timeline, segment, segmentSize)
  const offset = fault.lsn % BigInt(segmentSize)
  const where = fault.what === 'segment' ? '' : `, offset ${offset}, ${fault.what} at ${formatLsn(fault.lsn)}`
  const lsns = lsnsOf(range)
  const facts: ProblemFacts = {
    segment: name,
    ...(fault.what === 'segment'
      ? {
          ...(fault.size && { size: fault.size }),
          ...(fault.errorCode !== undefined && { errorCode: fault.errorCode }),
        }
      : { offset: Number(offset), lsn: formatLsn(fault.lsn) }),
  }
  const detail = `segment "${name}"${where}: ${fault.reason} (range ${lsns})`
  return walProblem('wal-invalid', range, detail, facts)
}

function missingProblem(
  range: WalRange,
  what: string,
  source: WalSource,
  facts: ProblemFacts = {},
  hint = '',
): Problem {
  const why = source.failure === undefined ? '' : `: ${source.failure}`
  return walProblem('wal-missing', range, `${what} from "${source.place}"${why}${hint}`, facts)
}

function walProblem(
  kind: 'wal-missing' | 'wal-invalid',
  range: WalRange,
  detail: string,
  facts: ProblemFacts,
): Problem {
  return {
    kind,
    ...(facts.segment !== undefined && { path: `pg_wal/${facts.segment}` }),
    message: firstLine(range),
    detail,
    ...rangeFacts(range),
    ...facts,
  }
}

function rangeFacts({ timeline, startLsn, endLsn }: WalRange): ProblemFacts {
  return { timeline, range: { startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) } }
}

function lsnsOf({ startLsn, endLsn }: WalRange): string {
  return `${formatLsn(startLsn)} to ${formatLsn(endLsn)}`
}

/** What existing scripts look for. */
function firstLine(range: WalRange): string {
  return `WAL parsing failed for timeline ${range.timeline}`
}
