import type { FirstTouches } from '../../postgres/wal/block-touches.js'
import type { FirstRecord, WalPosition } from '../../postgres/wal/wal-stretch.js'
import type { PartFault, PartResult, WalPart } from './walk-part.js'

/** What came of reading a run of segments. */
export interface RunResult {
  readonly records: number
  /** The first thing that is wrong. */
  readonly fault: PartFault | undefined
  /** What the parts have touched, in their order. */
  readonly touches: readonly FirstTouches[]
}

/**
 * Joins what came of the parts of a run, in their order, into what one reader would have found.
 *
 * A part was begun by a guess: that the first page's header is right about where the first record begins. Where the part
 * before it has ended somewhere else, or after another record, the part is read again from there. So damage at a border is
 * found as it would be without a border.
 *
 * @param resultOf - what came of a part that was begun by a guess
 * @param walkFrom - reads a part that begins at a known position
 */
export async function joinParts(
  parts: readonly WalPart[],
  segmentSize: number,
  resultOf: (index: number) => Promise<PartResult>,
  walkFrom: (part: WalPart) => Promise<PartResult>,
): Promise<RunResult> {
  let records = 0
  const touches: FirstTouches[] = []
  let position: WalPosition | undefined
  for (const [index, part] of parts.entries()) {
    const segment = position === undefined ? part.firstSegment : position.lsn / BigInt(segmentSize)
    // A record, or a SWITCH behind it, may fill whole parts.
    if (segment > part.lastSegment) continue
    let result = await resultOf(index)
    if (position !== undefined && !goesOnFrom(position, result.first)) {
      result = await walkFrom({ ...part, firstSegment: segment, position })
    }
    records += result.records
    if (result.touches !== undefined) touches.push(result.touches)
    if (result.fault !== undefined || result.isDone) return { records, fault: result.fault, touches }
    position = result.position ?? position
  }
  return { records, fault: undefined, touches }
}

function goesOnFrom(position: WalPosition, first: FirstRecord | undefined): boolean {
  return (
    first !== undefined &&
    position.abandonedLsn === undefined &&
    first.lsn === position.lsn &&
    first.previousLsn === position.previousLsn &&
    first.timeline >= position.timeline
  )
}
