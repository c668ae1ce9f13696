/** What a WAL segment file's name says. */
interface WalSegment {
  readonly timeline: number
  /** Counts segments from the beginning of the WAL: LSN divided by the segment size. */
  readonly segmentNumber: bigint
}

const mebibyte = 1024 * 1024
const segmentFileName = /^[0-9A-F]{24}$/

/**
 * Tells whether `initdb --wal-segsize` could have made such segments: a power of two, 1 MiB to 1 GiB, in bytes.
 *
 * @see src/include/access/xlog_internal.h (`IsValidWalSegSize`)
 */
export function isWalSegmentSize(bytes: number): boolean {
  return (
    Number.isInteger(bytes) && bytes >= mebibyte && bytes <= 1024 * mebibyte && (bytes & (bytes - 1)) === 0
  )
}

/**
 * Names the WAL segment file: timeline, then the segment number in two parts, `%08X%08X%08X`.
 *
 * @param segmentSize - bytes, see {@link isWalSegmentSize}.
 * @see src/include/access/xlog_internal.h (`XLogFileName`)
 * @example
 * ```ts
 * walSegmentName(1, 14n, 16777216) // '00000001000000000000000E'
 * ```
 */
export function walSegmentName(timeline: number, segmentNumber: bigint, segmentSize: number): WalFileName {
  const perLogId = segmentsPerLogId(segmentSize)
  return makeWalFileName(
    [BigInt(timeline), segmentNumber / perLogId, segmentNumber % perLogId].map(hex8).join(''),
  )
}

/**
 * Reads a WAL segment file's name; the reverse of {@link walSegmentName}.
 *
 * @returns `undefined` when a server with this segment size would not give a file this name (24 upper-case
 * hexadecimal digits, timeline not 0, last part below the number of segments in 4 GiB).
 * @see src/include/access/xlog_internal.h (`IsXLogFileName`, `XLogFromFileName`)
 */
export function parseWalSegmentName(name: string, segmentSize: number): WalSegment | undefined {
  if (!segmentFileName.test(name)) return undefined
  const timeline = Number.parseInt(name.slice(0, 8), 16)
  const logId = BigInt(`0x${name.slice(8, 16)}`)
  const inLogId = BigInt(`0x${name.slice(16)}`)
  const perLogId = segmentsPerLogId(segmentSize)
  if (timeline === 0 || inLogId >= perLogId) return undefined
  return { timeline, segmentNumber: logId * perLogId + inLogId }
}

/**
 * Gives the number of the segment that holds the byte at `lsn`: where a range or a record starts.
 *
 * @see src/include/access/xlog_internal.h (`XLByteToSeg`)
 */
export function segmentHoldingStart(lsn: bigint, segmentSize: number): bigint {
  return lsn / BigInt(segmentSize)
}

/**
 * Gives the number of the segment that holds the byte before `lsn`: where a range or a record ends. A position on a
 * boundary belongs to the previous segment.
 *
 * @see src/include/access/xlog_internal.h (`XLByteToPrevSeg`)
 */
export function segmentHoldingEnd(lsn: bigint, segmentSize: number): bigint {
  return lsn === 0n ? 0n : (lsn - 1n) / BigInt(segmentSize)
}

/** A "log id" is 4 GiB of WAL: the middle part of a segment's name counts them. */
function segmentsPerLogId(segmentSize: number): bigint {
  return 0x1_0000_0000n / BigInt(segmentSize)
}

function hex8(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0')
}

declare const isWalFileName: unique symbol

/**
 * The name of a file of pg_wal that a backup takes: a segment (`%08X%08X%08X`) or a timeline history file
 * (`%08X.history`). It went through {@link parseWalFileName}, and nothing else makes one: a name that somebody else made up
 * leads nowhere but into pg_wal.
 */
export type WalFileName = string & { readonly [isWalFileName]: true }

/**
 * The gate for names of files in pg_wal.
 *
 * @returns `undefined` for any other name
 * @see src/include/access/xlog_internal.h (`IsXLogFileName`, `IsTLHistoryFileName`)
 */
export function parseWalFileName(name: string): WalFileName | undefined {
  return /^(?:[0-9A-F]{24}|[0-9A-F]{8}\.history)$/.test(name) ? (name as WalFileName) : undefined
}

/** The name that was made of numbers. @throws RangeError when one of these is none of PostgreSQL's */
export function makeWalFileName(name: string): WalFileName {
  const parsed = parseWalFileName(name)
  if (parsed === undefined) throw new RangeError(`"${name}" is no name of a WAL file`)
  return parsed
}
