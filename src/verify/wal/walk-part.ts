import { DamagedArchiveError } from '../../files/damaged-archive-error.js'
import { SourceReadError } from '../../source/backup-source.js'
import { NotARegularFileError } from '../../files/open-regular-file.js'
import { describeSystemError } from '../../files/system-error.js'
import { findWalFormat } from '../../postgres/versions.js'
import type { FirstTouches, WantedBlocks } from '../../postgres/wal/block-touches.js'
import type {
  FirstRecord,
  RecordListener,
  WalFault,
  WalPosition,
  WalStretch,
} from '../../postgres/wal/wal-stretch.js'
import type { WalBuffer } from '../../postgres/wal/wal-buffer.js'
import { WalWalker } from '../../postgres/wal/wal-walker.js'
import { WAL_BLOCK_SIZE } from '../../postgres/wal-page-header.js'
import { segmentHoldingEnd, walSegmentName } from '../../postgres/wal-segment.js'
import type { WalSegmentReader, WalSource } from './wal-source.js'

/** What the WAL should be. Plain data: it crosses threads. */
export interface ExpectedWal {
  /** Of the format of the WAL, one that we know. */
  readonly pageMagic: number
  readonly timeline: number
  readonly segmentSize: number
  readonly systemIdentifier: bigint | undefined
  /** Where the range ends. */
  readonly endLsn: bigint
  /** Blocks to look for; `undefined` when there are none. */
  readonly wanted?: WantedBlocks | undefined
}

/** Segments whose records are read one after the other; the numbers include the last. */
export interface WalPart {
  readonly firstSegment: bigint
  readonly lastSegment: bigint
  /** How far reading may go on to finish a record that begins in the part. */
  readonly lastPresentSegment: bigint
  /** Where the range begins, if that is in this part. */
  readonly startLsn: bigint | undefined
  /** Where to begin, if that is known. */
  readonly position: WalPosition | undefined
}

/** A segment that cannot be read, or is not of its size. */
interface SegmentFault {
  readonly lsn: bigint
  readonly what: 'segment'
  readonly reason: string
  /** Bytes. */
  readonly size?: { readonly expected: number; readonly found: number }
  /** What the operating system said: `EACCES`. */
  readonly errorCode?: string
}

/** What is wrong, or a segment that cannot be read. */
export type PartFault = WalFault | SegmentFault

/** What came of reading a part. */
export interface PartResult {
  /** Good records that begin in the part. */
  readonly records: number
  /** The first of them, when the part was begun without knowing where one begins. */
  readonly first: FirstRecord | undefined
  /** Where the next part goes on. */
  readonly position: WalPosition | undefined
  /** Whether the end of the range was reached. */
  readonly isDone: boolean
  readonly fault: PartFault | undefined
  /** Of the wanted blocks, the first records in the part that touch them. */
  readonly touches: FirstTouches | undefined
}

/** Whole pages, few enough to stay in the processor's cache. */
export const WAL_BUFFER_BYTES: number = 32 * WAL_BLOCK_SIZE

/**
 * A walk on its way. It stops after every buffer, so that a caller can give way, and where bytes are still to come: with
 * the promise of how many, to be told when they are there. With `throw` it is told why they will not come.
 */
export type PartWalk = Generator<Promise<number> | undefined, PartResult, number>

type StepsOf<Result> = Generator<Promise<number> | undefined, Result, number>

/**
 * Reads all records that begin in a part.
 *
 * @param buffer - where pages are read to: whole ones; belongs to this walk until it has ended.
 * @param onRecord - may end the walk, with the last record that it was told of
 */
export function* walkPart(
  source: WalSource,
  expected: ExpectedWal,
  part: WalPart,
  { buffer, crc }: WalBuffer,
  onRecord?: RecordListener,
): PartWalk {
  const format = findWalFormat(expected.pageMagic)
  if (format === undefined) throw new Error(`no WAL format with magic number ${expected.pageMagic}`)
  // Written out: of what is spread, V8 makes a shape of its own each time, and compiles the walker for each anew.
  const stretch: WalStretch = {
    format,
    timeline: expected.timeline,
    segmentSize: expected.segmentSize,
    systemIdentifier: expected.systemIdentifier,
    startLsn: part.startLsn,
    endLsn: expected.endLsn,
    position: part.position,
    wanted: expected.wanted,
    onRecord,
  }
  const walker = new WalWalker(stretch, crc)
  const lastSegment = segmentHoldingEnd(expected.endLsn, expected.segmentSize)
  let fault: PartFault | undefined
  let segment = part.firstSegment
  while (fault === undefined && !walker.isDone && segment <= part.lastPresentSegment) {
    const isOwn = segment <= part.lastSegment
    if (!isOwn && !walker.isInside) break
    const segmentLsn = segment * BigInt(expected.segmentSize)
    walker.beginSegment(segmentLsn, isOwn)
    const name = walSegmentName(expected.timeline, segment, expected.segmentSize)
    try {
      fault = yield* walkSegment(source, name, {
        walker,
        buffer,
        startLsn: segmentLsn,
        size: expected.segmentSize,
      })
    } catch (error) {
      fault = { lsn: segmentLsn, what: 'segment', ...explain(error) }
    }
    segment++
  }
  if (fault === undefined && walker.wantsMore && segment > lastSegment) fault = walker.finish()
  const { records, first, position, isDone, touches } = walker
  return { records, first, position, isDone, fault, touches: touches?.first }
}

interface SegmentWalk {
  readonly walker: WalWalker
  readonly buffer: Buffer
  readonly startLsn: bigint
  readonly size: number
}

function* walkSegment(source: WalSource, name: string, walk: SegmentWalk): StepsOf<PartFault | undefined> {
  const segment = source.open(name)
  try {
    if (segment.size !== walk.size) return wrongSize(walk.startLsn, segment.size, walk.size)
    return yield* walkPages(segment, walk)
  } finally {
    segment.close()
  }
}

function* walkPages(segment: WalSegmentReader, walk: SegmentWalk): StepsOf<PartFault | undefined> {
  const { walker, buffer, size } = walk
  const viewOf = (bytes: number): DataView => new DataView(buffer.buffer, buffer.byteOffset, bytes)
  const view = viewOf(buffer.length)
  for (let offset = walker.firstOffset; offset < size; offset += buffer.length) {
    const read = segment.read(buffer, offset)
    const length = typeof read === 'number' ? read : yield read
    const wanted = Math.min(buffer.length, size - offset)
    if (length < wanted) return wrongSize(walk.startLsn, offset + length, size)
    const fault = walker.walk(wanted === buffer.length ? view : viewOf(wanted), offset)
    if (fault !== undefined) return fault
    if (!walker.wantsMore) return undefined
    yield undefined
  }
  return undefined
}

/** A segment that is shorter or longer than it should be. */
export function wrongSize(startLsn: bigint, bytes: number, size: number): PartFault {
  const reason = `it has ${bytes} bytes, but should have ${size}`
  return { lsn: startLsn, what: 'segment', reason, size: { expected: size, found: bytes } }
}

function explain(error: unknown): Pick<SegmentFault, 'reason' | 'errorCode'> {
  if (error instanceof NotARegularFileError) return { reason: error.message }
  if (error instanceof DamagedArchiveError || error instanceof SourceReadError) {
    return { reason: error.detail === undefined ? error.message : `${error.message}: ${error.detail}` }
  }
  const description = describeSystemError(error)
  if (description === undefined) throw error
  return { reason: description.message, errorCode: description.code }
}
