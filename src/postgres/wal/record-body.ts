import type { WalFormat } from '../versions.js'
import { RECORD_HEADER_SIZE, recordFields } from './record-header.js'

const MAX_BLOCK_ID = 32
const ID_DATA_SHORT = 255
const ID_DATA_LONG = 254
const ID_ORIGIN = 253
const ID_TOPLEVEL_XID = 252

/** Bits of a block header's fork_flags. */
const forkBits = 0x0f
const hasImage = 0x10
const hasData = 0x20
const willInit = 0x40
const sameRelation = 0x80

/** Bit of bimg_info. */
const imageHasHole = 0x01

const PAGE_SIZE = 8192

/** In the words of PostgreSQL's reader. */
const INVALID_LENGTH = 'record with invalid length'

/**
 * Checks that a record's fragments follow each other as they should, and fill it exactly.
 *
 * All headers of fragments come first, then all their data: only the headers are looked at.
 *
 * @param at - where in `view` the record begins.
 * @param known - bytes of the record that are in `view`; `length` when it is there whole. No server writes a record whose
 * headers go on behind the first kilobyte.
 * @param length - bytes of the record, xl_tot_len.
 * @returns what is wrong, in the words of PostgreSQL's reader
 * @see src/backend/access/transam/xlogreader.c, DecodeXLogRecord
 */
export function findRecordBodyFault(
  view: DataView,
  at: number,
  known: number,
  length: number,
  format: WalFormat,
): string | undefined {
  const end = at + known
  let next = at + RECORD_HEADER_SIZE
  let remaining = length - RECORD_HEADER_SIZE
  let dataLength = 0
  let lastBlock = -1
  let hasRelation = false
  while (remaining > dataLength) {
    if (next >= end) return INVALID_LENGTH
    const id = view.getUint8(next)
    const size = fragmentHeaderSize(id, view, next, end, format)
    if (size === 0) return `invalid block_id ${id}`
    if (size > remaining || next + size > end) return INVALID_LENGTH
    remaining -= size
    if (id === ID_DATA_SHORT) {
      dataLength += view.getUint8(next + 1)
      break
    }
    if (id === ID_DATA_LONG) {
      dataLength += view.getUint32(next + 1, true)
      break
    }
    if (id <= MAX_BLOCK_ID) {
      if (id <= lastBlock) return `out-of-order block_id ${id}`
      lastBlock = id
      const flags = view.getUint8(next + 1)
      const fault = findBlockFault(flags, view, next, format)
      if (fault !== undefined) return fault
      if ((flags & sameRelation) === 0) hasRelation = true
      else if (!hasRelation) return 'BKPBLOCK_SAME_REL set but no previous rel'
      dataLength += view.getUint16(next + 2, true)
      if ((flags & hasImage) !== 0) dataLength += view.getUint16(next + 4, true)
    }
    next += size
  }
  return remaining === dataLength ? undefined : INVALID_LENGTH
}

/** A block of a relation's fork, as records name it. */
export interface BlockAddress {
  readonly tablespaceOid: number
  /** 0 in `global`. */
  readonly databaseOid: number
  readonly relationNumber: number
  /** 0 main, 1 fsm, 2 vm, 3 init. @see src/include/common/relpath.h (`ForkNumber`) */
  readonly fork: number
  readonly block: number
}

/** What a record says of a block that it changes. */
export interface BlockReference extends BlockAddress {
  /** Replay does not read it: there is an image to be put in its place, or it begins from nothing. */
  readonly isWrittenAnew: boolean
}

/**
 * Reads which blocks a record changes, of a record in which {@link findRecordBodyFault} has found nothing wrong.
 *
 * @param known - bytes of the record that are in `view`
 * @returns where in `view` the record's main data begins; `undefined` when there is none, or it is not in `view`
 */
export function readRecordBody(
  view: DataView,
  at: number,
  known: number,
  format: WalFormat,
  onBlock: (block: BlockReference) => void,
): number | undefined {
  const end = at + known
  const length = view.getUint32(at + recordFields.totalLength, true)
  let relation = { tablespaceOid: 0, databaseOid: 0, relationNumber: 0 }
  let blockBytes = 0
  for (let next = at + RECORD_HEADER_SIZE; next < end;) {
    const id = view.getUint8(next)
    const size = fragmentHeaderSize(id, view, next, end, format)
    if (id === ID_DATA_SHORT || id === ID_DATA_LONG) {
      const dataAt = next + size + blockBytes
      const dataLength = id === ID_DATA_SHORT ? view.getUint8(next + 1) : view.getUint32(next + 1, true)
      return dataAt + dataLength <= end ? dataAt : undefined
    }
    if (id <= MAX_BLOCK_ID) {
      const flags = view.getUint8(next + 1)
      const hasItsRelation = (flags & sameRelation) === 0
      const blockAt = next + size - 4
      if (hasItsRelation) relation = readRelation(view, blockAt - 12)
      const image = (flags & hasImage) === 0 ? 0 : view.getUint8(next + 8)
      blockBytes += view.getUint16(next + 2, true)
      if ((flags & hasImage) !== 0) blockBytes += view.getUint16(next + 4, true)
      onBlock({
        ...relation,
        fork: flags & forkBits,
        block: view.getUint32(blockAt, true),
        isWrittenAnew: (image & format.appliedImageBit) !== 0 || (flags & willInit) !== 0,
      })
    }
    next += size
    // All that is left is the blocks' data.
    if (next - at + blockBytes >= length) return undefined
  }
  return undefined
}

function readRelation(view: DataView, at: number): Omit<BlockAddress, 'fork' | 'block'> {
  return {
    tablespaceOid: view.getUint32(at, true),
    databaseOid: view.getUint32(at + 4, true),
    relationNumber: view.getUint32(at + 8, true),
  }
}

/** Bytes of a fragment's header, with its id; 0 when there is no such fragment. May be more than there are. */
function fragmentHeaderSize(id: number, view: DataView, at: number, end: number, format: WalFormat): number {
  if (id <= MAX_BLOCK_ID) return blockHeaderSize(view, at, end, format)
  if (id === ID_DATA_SHORT) return 2
  if (id === ID_DATA_LONG) return 5
  if (id === ID_ORIGIN) return 3
  return id === ID_TOPLEVEL_XID && format.hasToplevelXid ? 5 : 0
}

/** Id, fork_flags, length of the data; the image's header; which relation; which block. */
function blockHeaderSize(view: DataView, at: number, end: number, format: WalFormat): number {
  if (at + 2 > end) return 8
  const flags = view.getUint8(at + 1)
  const size = (flags & sameRelation) === 0 ? 20 : 8
  if ((flags & hasImage) === 0) return size
  if (at + 9 > end) return size + 5
  const image = view.getUint8(at + 8)
  const hasHoleLength = (image & format.compressedImageBits) !== 0 && (image & imageHasHole) !== 0
  return size + (hasHoleLength ? 7 : 5)
}

function findBlockFault(flags: number, view: DataView, at: number, format: WalFormat): string | undefined {
  const length = view.getUint16(at + 2, true)
  if ((flags & hasData) === 0 ? length !== 0 : length === 0) {
    return length === 0
      ? 'BKPBLOCK_HAS_DATA set, but no data included'
      : `BKPBLOCK_HAS_DATA not set, but data length is ${length}`
  }
  return (flags & hasImage) === 0 ? undefined : findImageFault(view, at + 4, format)
}

/** The hole is the part between a page's lower and upper end, which is zero and left out. */
function findImageFault(view: DataView, at: number, { compressedImageBits }: WalFormat): string | undefined {
  const length = view.getUint16(at, true)
  const holeOffset = view.getUint16(at + 2, true)
  const info = view.getUint8(at + 4)
  const isCompressed = (info & compressedImageBits) !== 0
  const hasHole = (info & imageHasHole) !== 0
  // The reader computes it in 16 bits.
  const holeLength = isCompressed
    ? hasHole
      ? view.getUint16(at + 5, true)
      : 0
    : (PAGE_SIZE - length) & 0xffff
  if (hasHole && (holeOffset === 0 || holeLength === 0 || length === PAGE_SIZE)) {
    return `BKPIMAGE_HAS_HOLE set, but hole offset ${holeOffset} length ${holeLength} block image length ${length}`
  }
  if (!hasHole && (holeOffset !== 0 || holeLength !== 0)) {
    return `BKPIMAGE_HAS_HOLE not set, but hole offset ${holeOffset} length ${holeLength}`
  }
  if (isCompressed && length === PAGE_SIZE) {
    return `BKPIMAGE_COMPRESSED set, but block image length ${length}`
  }
  return undefined
}
