import type { EvidenceTable } from '../verify/plain/evidence.js'
import { filePlans } from '../verify/plain/evidence.js'

/** Which part of the files to read in one run. */
export type Subset =
  /** The files whose place in the manifest is this one, from 1, of so many: always the same ones. */
  | { readonly type: 'part'; readonly part: number; readonly of: number }
  /** The files that were read the longest ago, or never, until they are so much of all bytes. */
  | { readonly type: 'share'; readonly share: number }
  | { readonly type: 'bytes'; readonly bytes: number }

/** `5%`, `3/30`, or a number of bytes. */
export function describeSubset(subset: Subset): string {
  switch (subset.type) {
    case 'part':
      return `${subset.part}/${subset.of}`
    case 'share':
      return `${Number((subset.share * 100).toFixed(6))}%`
    case 'bytes':
      return String(subset.bytes)
    default:
      return subset satisfies never
  }
}

/** What need not be read. Without any of it, every file is. */
export interface ReadingPlan {
  /** Evidence counts as long as it is not older. Default: it does not age, when there is a subset. */
  readonly maxAgeSeconds?: number | undefined
  readonly subset?: Subset | undefined
}

/** The files of a backup, and what is known of them. */
interface PlannedFiles {
  readonly rows: number
  readonly size: (row: number) => number
  /** Whether it is to be read at all: it counts, and has a checksum. */
  readonly isWanted: (row: number) => boolean
  readonly evidence: EvidenceTable
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * Decides what is done with each file.
 *
 * Without a subset: what has evidence that is not too old is compared with it, all else is read. With one: its files are read, and
 * besides them what was read before but has no evidence, because it was bad or too fresh, or has evidence that is too old;
 * what was never read is left to later runs.
 */
export function planFiles(files: PlannedFiles, { maxAgeSeconds, subset }: ReadingPlan): void {
  const { rows, evidence, isWanted, now } = files
  const { plans, readAt, checks } = evidence
  if (maxAgeSeconds === undefined && subset === undefined) return
  const oldest = maxAgeSeconds === undefined ? 0 : now - maxAgeSeconds * 1000
  for (let row = 0; row < rows; row++) {
    if (!isWanted(row)) continue
    const at = readAt[row] ?? 0
    const isProven = checks[row] !== 0 && at > 0 && at >= oldest && at <= now
    if (isProven) plans[row] = filePlans.compare
    else if (at === 0 && subset !== undefined) plans[row] = filePlans.leave
  }
  if (subset !== undefined) for (const row of sampleOf(files, subset)) plans[row] = filePlans.read
}

/** The rows of a subset. */
function* sampleOf(files: PlannedFiles, subset: Subset): Generator<number, void, undefined> {
  const { rows, size, isWanted, evidence } = files
  if (subset.type === 'part') {
    for (let row = subset.part - 1; row < rows; row += subset.of) yield row
    return
  }
  const { readAt, plans } = evidence
  const candidates: number[] = []
  let bytes = 0
  for (let row = 0; row < rows; row++) {
    if (!isWanted(row)) continue
    bytes += size(row)
    // What is read anyway does not take the turn of another file.
    if (plans[row] !== filePlans.read) candidates.push(row)
  }
  const wanted = subset.type === 'share' ? subset.share * bytes : subset.bytes
  candidates.sort((left, right) => (readAt[left] ?? 0) - (readAt[right] ?? 0))
  let taken = 0
  for (const row of candidates) {
    // An empty file takes no share, and would have to wait for a night in which there is some left.
    const isFree = size(row) === 0 && readAt[row] === 0
    if (taken >= wanted && !isFree) continue
    taken += size(row)
    yield row
  }
}
