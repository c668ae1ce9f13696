import { PbManifestError } from '../errors.js'

/** Bytes of a WAL page in stock builds (`XLOG_BLCKSZ`). */
export const WAL_BLOCK_SIZE = 8192
/** Bytes of the header of a page that is not the first of its segment. */
export const WAL_PAGE_SHORT_HEADER_SIZE = 24
/** Bytes of the header of a segment's first page. */
export const WAL_PAGE_LONG_HEADER_SIZE = 40

/** The part of the header that only the first page of a segment has. */
interface WalPageLongHeader {
  readonly systemIdentifier: bigint
  /** Bytes of a segment. */
  readonly segmentSize: number
  /** Bytes of a WAL page. */
  readonly blockSize: number
}

/** The header of one WAL page, as it stands there: nothing in it is checked. */
export interface WalPageHeader {
  /** Tells the WAL format, see {@link findWalFormat}. */
  readonly magic: number
  /** The page begins with the rest of a record from the page before. */
  readonly isFirstContinuationRecord: boolean
  readonly hasLongHeader: boolean
  /** xlp_info: the two above, and bits whose meaning depends on the format, see {@link WalFormat.pageInfoBits}. */
  readonly info: number
  /** The timeline of the first record on the page. */
  readonly timeline: number
  /** The LSN of the page's first byte. */
  readonly pageAddress: bigint
  /** Bytes of the continued record still to come, on this page and later ones; 0 without one. */
  readonly remainingLength: number
  /** Bytes of this header, 24 or 40: the first record or the rest of one begins there. */
  readonly headerSize: number
  readonly long?: WalPageLongHeader
}

/** Bits of xlp_info in every format. */
const firstIsContinuationRecord = 0x0001
const longHeader = 0x0002

/**
 * Reads the header of a WAL page, the long form when the page says that it has it.
 *
 * It judges nothing: whether magic, address, timeline and flags are right depends on where the page was found.
 *
 * @param bytes - holds the page.
 * @param offset - where in `bytes` the page begins.
 * @throws PbManifestError `BAD_FILE` when fewer bytes are there than the header has.
 * @see src/include/access/xlog_internal.h (`XLogPageHeaderData`, `XLogLongPageHeaderData`)
 */
export function parseWalPageHeader(bytes: Uint8Array, offset: number): WalPageHeader {
  requireBytes(bytes, offset, WAL_PAGE_SHORT_HEADER_SIZE)
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, bytes.length - offset)
  const info = view.getUint16(2, true)
  const hasLongHeader = (info & longHeader) !== 0
  const short = {
    magic: view.getUint16(0, true),
    isFirstContinuationRecord: (info & firstIsContinuationRecord) !== 0,
    hasLongHeader,
    info,
    timeline: view.getUint32(4, true),
    pageAddress: view.getBigUint64(8, true),
    remainingLength: view.getUint32(16, true),
  }
  if (!hasLongHeader) return { ...short, headerSize: WAL_PAGE_SHORT_HEADER_SIZE }

  requireBytes(bytes, offset, WAL_PAGE_LONG_HEADER_SIZE)
  const long = {
    systemIdentifier: view.getBigUint64(24, true),
    segmentSize: view.getUint32(32, true),
    blockSize: view.getUint32(36, true),
  }
  return { ...short, headerSize: WAL_PAGE_LONG_HEADER_SIZE, long }
}

function requireBytes(bytes: Uint8Array, offset: number, size: number): void {
  const present = Math.max(bytes.length - offset, 0)
  if (present >= size) return
  throw new PbManifestError('BAD_FILE', `could not read WAL page header: read ${present} of ${size}`)
}
