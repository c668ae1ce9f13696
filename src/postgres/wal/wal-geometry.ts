import { formatLsn } from '../lsn.js'
import { WAL_BLOCK_SIZE, WAL_PAGE_LONG_HEADER_SIZE, WAL_PAGE_SHORT_HEADER_SIZE } from '../wal-page-header.js'

/** The beginning of the page that holds this offset in a segment. */
export function pageOf(offset: number): number {
  return offset - (offset % WAL_BLOCK_SIZE)
}

/** Bytes of the header of the page that begins there in a segment. */
export function headerSizeAt(pageOffset: number): number {
  return pageOffset === 0 ? WAL_PAGE_LONG_HEADER_SIZE : WAL_PAGE_SHORT_HEADER_SIZE
}

/** Records begin where the LSN is a multiple of 8. */
export function alignRecord(size: number): number {
  return alignTo(size, 8)
}

/** @param unit - a power of two; with `size`, less than 2 GiB. */
export function alignTo(size: number, unit: number): number {
  return (size + unit - 1) & -unit
}

export function lsnOf(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}

/** The segment at hand, in which positions are offsets: it does not cross 4 GiB, so the upper half of all its LSNs is the same. */
export class SegmentFrame {
  readonly lsn: bigint
  /** The two halves of `lsn`: a `bigint` for each record would cost more than its CRC. */
  readonly high: number
  readonly low: number

  constructor(segmentLsn: bigint) {
    this.lsn = segmentLsn
    this.high = Number(segmentLsn >> 32n)
    this.low = Number(segmentLsn & 0xffff_ffffn)
  }

  /** May lie outside the segment. */
  offsetOf(lsn: bigint): number {
    return Number(lsn - this.lsn)
  }

  lsnAt(offset: number): bigint {
    return this.lsn + BigInt(offset)
  }

  textAt(offset: number): string {
    return formatLsn(this.lsnAt(offset))
  }
}
