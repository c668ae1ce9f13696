import { PAGE_SIZE } from './data-page/page-layout.js'

const MAGIC = 0xd3ae_1f0d
const NUMBER_BYTES = 4

/** Bytes before the block list: magic, count, truncation block length. */
const PREAMBLE_BYTES = 3 * NUMBER_BYTES

/** What an incremental file begins with. */
export interface IncrementalPreamble {
  /** How many pages the file holds. */
  readonly blockCount: number
  /** The relation's file has at least so many pages; those that no block list names are older backups' or zero. */
  readonly truncationBlockLength: number
}

/**
 * Reads the first 12 bytes of an incremental file.
 *
 * @param bytes - the beginning of the file, or all of it
 * @param segmentPages - pages of a whole file of a relation
 * @returns a reason, in pg_combinebackup's words, when the file is none
 * @see src/bin/pg_combinebackup/reconstruct.c (`make_incremental_rfile`)
 */
export function parseIncrementalPreamble(
  bytes: Buffer,
  segmentPages: number,
): IncrementalPreamble | { readonly fault: string } {
  if (bytes.length < PREAMBLE_BYTES) {
    return { fault: `has ${bytes.length} bytes, too few for the header of an incremental file` }
  }
  const magic = bytes.readUInt32LE(0)
  const blockCount = bytes.readUInt32LE(NUMBER_BYTES)
  const truncationBlockLength = bytes.readUInt32LE(2 * NUMBER_BYTES)
  if (magic !== MAGIC) {
    return { fault: `has bad incremental magic number (0x${hex(magic)}, expected 0x${hex(MAGIC)})` }
  }
  if (blockCount > segmentPages) {
    return { fault: `has block count ${blockCount} in excess of segment size ${segmentPages}` }
  }
  if (truncationBlockLength > segmentPages) {
    return {
      fault: `has truncation block length ${truncationBlockLength} in excess of segment size ${segmentPages}`,
    }
  }
  return { blockCount, truncationBlockLength }
}

/** Bytes before the first page: preamble, block list, and zeros up to a whole page; without pages, the preamble alone. */
export function incrementalHeaderBytes(blockCount: number): number {
  if (blockCount === 0) return PREAMBLE_BYTES
  const bytes = PREAMBLE_BYTES + blockCount * NUMBER_BYTES
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE
}

/** Bytes of the whole file. */
export function incrementalFileBytes(blockCount: number): number {
  return incrementalHeaderBytes(blockCount) + blockCount * PAGE_SIZE
}

/** How many pages an incremental file of so many bytes has: the reverse of {@link incrementalFileBytes}. */
export function pagesOfIncrementalFile(bytes: number): number {
  let pages = Math.floor(bytes / PAGE_SIZE)
  while (pages > 0 && incrementalFileBytes(pages) > bytes) pages--
  return pages
}

/**
 * The number, within the relation's file, of each page that the file holds.
 *
 * @param header - at least the preamble and the block list
 */
export function readBlockNumbers(header: Buffer, blockCount: number): Uint32Array {
  return Uint32Array.from({ length: blockCount }, (_, index) =>
    header.readUInt32LE(PREAMBLE_BYTES + index * NUMBER_BYTES),
  )
}

/**
 * Writes what stands before the pages of an incremental file: preamble, block list, zeros up to a whole page.
 *
 * @param blocks - the number, within the relation's file, of each page that follows, ascending
 * @param truncationBlockLength - see {@link IncrementalPreamble}
 * @see src/backend/backup/basebackup.c (`sendFile`)
 */
export function formatIncrementalHeader(blocks: Uint32Array, truncationBlockLength: number): Buffer {
  const header = Buffer.alloc(incrementalHeaderBytes(blocks.length))
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt32LE(blocks.length, NUMBER_BYTES)
  header.writeUInt32LE(truncationBlockLength, 2 * NUMBER_BYTES)
  for (const [index, block] of blocks.entries()) {
    header.writeUInt32LE(block, PREAMBLE_BYTES + index * NUMBER_BYTES)
  }
  return header
}

/**
 * What is wrong with a block list: the server writes it in ascending order.
 *
 * @see src/backend/backup/basebackup_incremental.c (`GetFileBackupMethod`)
 */
export function findBlockListFault(blocks: Uint32Array, segmentPages: number): string | undefined {
  let previous = -1
  for (const [index, block] of blocks.entries()) {
    if (block >= segmentPages) {
      return `has block number ${block} in its block list, beyond segment size ${segmentPages}`
    }
    if (block <= previous) {
      return `has block number ${block} after ${previous} in its block list (entry ${index + 1})`
    }
    previous = block
  }
  return undefined
}

function hex(value: number): string {
  return value.toString(16)
}
