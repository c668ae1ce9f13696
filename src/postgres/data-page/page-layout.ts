/** Bytes of a data page in every stock build (BLCKSZ). */
export const PAGE_SIZE = 8192

/** Pages of a whole file of a relation in every stock build (RELSEG_SIZE): files are cut at 1 GiB. */
export const STOCK_SEGMENT_PAGES = 131_072

/**
 * Where the header of a page has its fields, in bytes from the beginning of the page.
 *
 * @see src/include/storage/bufpage.h (`PageHeaderData`)
 */
export const pageOffsets = { lsn: 0, checksum: 8, upper: 14 } as const

/** What is looked at in the header of a page. */
export interface PageHeader {
  /** The end of the last WAL record that changed the page. */
  readonly lsn: bigint
  /** As it is stored: 1 to 65535, or 0 where there is none. */
  readonly checksum: number
}

/** Reads the header of the page that begins at `start`. */
export function readPageHeader(bytes: Buffer, start: number): PageHeader {
  // Unlike every other LSN, this one has its upper half first.
  const high = BigInt(bytes.readUInt32LE(start + pageOffsets.lsn))
  const low = BigInt(bytes.readUInt32LE(start + pageOffsets.lsn + 4))
  return { lsn: (high << 32n) | low, checksum: bytes.readUInt16LE(start + pageOffsets.checksum) }
}
