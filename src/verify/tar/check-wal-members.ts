import type { WalRange } from '../../manifest/model.js'
import type { ControlFile } from '../../postgres/control-file.js'
import { formatLsn } from '../../postgres/lsn.js'
import {
  isWalSegmentSize,
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  walSegmentName,
} from '../../postgres/wal-segment.js'
import type { VerifyContext } from '../backup-files.js'
import type { Problem } from '../report.js'
import type { WalMember } from './archive-messages.js'

/**
 * Checks that every segment that the WAL ranges need is in an archive and has its size.
 *
 * What is in the segments is not looked at.
 */
export function checkWalMembers(
  { manifest, problems, notChecked }: VerifyContext,
  control: ControlFile | undefined,
  members: readonly WalMember[],
): void {
  if (manifest.walRanges.length === 0) return
  notChecked.push({ what: 'wal-records', why: 'of WAL in archives, only presence and size are checked' })
  const segmentSize = control?.walSegmentSize ?? members.map(({ size }) => size).find(isWalSegmentSize)
  for (const range of manifest.walRanges) {
    if (segmentSize === undefined) {
      problems.add(walProblem('wal-missing', range, 'there is no WAL segment in the archives'))
    } else {
      for (const problem of checkRange(range, segmentSize, members)) problems.add(problem)
    }
  }
}

function* checkRange(
  range: WalRange,
  segmentSize: number,
  members: readonly WalMember[],
): Generator<Problem, void, undefined> {
  if (range.endLsn <= range.startLsn) {
    const ends = `the range ends at ${formatLsn(range.endLsn)}`
    yield walProblem('wal-range', range, `${ends}, not after its start at ${formatLsn(range.startLsn)}`)
    return
  }
  let next = segmentHoldingStart(range.startLsn, segmentSize)
  const behind = segmentHoldingEnd(range.endLsn, segmentSize) + 1n
  for (const { name, size, segmentNumber } of segmentsOf(range, segmentSize, members)) {
    if (segmentNumber < next || segmentNumber >= behind) continue
    if (segmentNumber > next) yield missingProblem(range, segmentSize, next, segmentNumber)
    next = segmentNumber + 1n
    if (size === segmentSize) continue
    const lsns = `${formatLsn(range.startLsn)} to ${formatLsn(range.endLsn)}`
    const what = `segment "${name}": it has ${size} bytes, but should have ${segmentSize} (range ${lsns})`
    yield walProblem('wal-invalid', range, what, name)
  }
  if (next < behind) yield missingProblem(range, segmentSize, next, behind)
}

/** The segments of the range's timeline, in their order. */
function segmentsOf(
  { timeline }: WalRange,
  segmentSize: number,
  members: readonly WalMember[],
): (WalMember & { readonly segmentNumber: bigint })[] {
  const segments = members.flatMap((member) => {
    const segment = parseWalSegmentName(member.name, segmentSize)
    return segment?.timeline === timeline ? [{ ...member, segmentNumber: segment.segmentNumber }] : []
  })
  return segments.toSorted((left, right) => Number(left.segmentNumber - right.segmentNumber))
}

/** The segments from `first` to before `end` are missing: there may be more of them than one can name. */
function missingProblem(range: WalRange, segmentSize: number, first: bigint, end: bigint): Problem {
  const name = walSegmentName(range.timeline, first, segmentSize)
  const last = walSegmentName(range.timeline, end - 1n, segmentSize)
  const what =
    end - first === 1n ? `segment "${name}" is` : `${end - first} segments, "${name}" to "${last}", are`
  return walProblem('wal-missing', range, `${what} missing from the archives`, name)
}

function walProblem(
  kind: 'wal-range' | 'wal-missing' | 'wal-invalid',
  { timeline }: WalRange,
  detail: string,
  segment?: string,
): Problem {
  return {
    kind,
    ...(segment !== undefined && { path: `pg_wal/${segment}` }),
    message: `WAL parsing failed for timeline ${timeline}`,
    detail,
  }
}
