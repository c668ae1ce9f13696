import { formatLsn } from '../lsn.js'
import {
  parseWalPageHeader,
  WAL_BLOCK_SIZE,
  WAL_PAGE_LONG_HEADER_SIZE,
  WAL_PAGE_SHORT_HEADER_SIZE,
  type WalPageHeader,
} from '../wal-page-header.js'
import type { WalFormat } from '../versions.js'

/** What every page of a stretch of WAL should say of itself. */
export interface ExpectedPages {
  readonly format: WalFormat
  /** The timeline of the segments' names: pages may be of older ones, never of newer. */
  readonly timeline: number
  readonly segmentSize: number
  /** `undefined` when neither the manifest nor pg_control says. */
  readonly systemIdentifier: bigint | undefined
}

/** Offsets in the header of a page. */
const INFO = 2
const TIMELINE = 4
const ADDRESS_LOW = 8
const ADDRESS_HIGH = 12
const REMAINING_LENGTH = 16

/** Bits of xlp_info in every format. */
const firstIsContinuationRecord = 0x0001
const longHeader = 0x0002

/**
 * Checks the headers of pages that follow each other, and keeps what the last one said.
 *
 * @see src/backend/access/transam/xlogreader.c, XLogReaderValidatePageHeader
 */
export class PageCheck {
  readonly #expected: ExpectedPages
  readonly #bitsWithoutMeaning: number
  readonly #overwriteBit: number
  /** The timeline of the last page; no later page may be of an older one. */
  timeline: number
  headerSize: number = WAL_PAGE_SHORT_HEADER_SIZE
  isContinuation = false
  isOverwrite = false
  /** Bytes of the continued record on this page and later ones. */
  remainingLength = 0

  constructor(expected: ExpectedPages, timeline: number) {
    this.#expected = expected
    this.#bitsWithoutMeaning = 0xffff & ~expected.format.pageInfoBits
    this.#overwriteBit = expected.format.overwriteContrecordBit
    this.timeline = timeline
  }

  /**
   * @param at - where in `view` the page begins.
   * @param high - the upper half of the page's LSN; `low` is the lower.
   * @returns what is wrong, in the words of PostgreSQL's reader
   */
  findFault(view: DataView, at: number, high: number, low: number): string | undefined {
    const isFirst = low % this.#expected.segmentSize === 0
    const info = view.getUint16(at + INFO, true)
    const timeline = view.getUint32(at + TIMELINE, true)
    const isPlain =
      !isFirst &&
      view.getUint16(at, true) === this.#expected.format.pageMagic &&
      (info & (this.#bitsWithoutMeaning | longHeader)) === 0 &&
      view.getUint32(at + ADDRESS_LOW, true) === low &&
      view.getUint32(at + ADDRESS_HIGH, true) === high &&
      timeline === this.timeline
    // The long way is for the first pages of segments and timelines, and for words about what is wrong.
    if (!isPlain) {
      const header = parseWalPageHeader(
        new Uint8Array(view.buffer, view.byteOffset + at, WAL_PAGE_LONG_HEADER_SIZE),
        0,
      )
      const fault = this.#findHeaderFault(header, (BigInt(high) << 32n) | BigInt(low), isFirst)
      if (fault !== undefined) return fault
    }
    this.timeline = timeline
    this.headerSize = (info & longHeader) === 0 ? WAL_PAGE_SHORT_HEADER_SIZE : WAL_PAGE_LONG_HEADER_SIZE
    this.isContinuation = (info & firstIsContinuationRecord) !== 0
    this.isOverwrite = (info & this.#overwriteBit) !== 0
    this.remainingLength = view.getUint32(at + REMAINING_LENGTH, true)
    return this.#findContinuationFault()
  }

  #findHeaderFault(header: WalPageHeader, address: bigint, isFirst: boolean): string | undefined {
    const { format, timeline } = this.#expected
    if (header.magic !== format.pageMagic) return `invalid magic number ${hex4(header.magic)}`
    const invalidBits = header.info & this.#bitsWithoutMeaning
    if (invalidBits !== 0) return `invalid info bits ${hex4(invalidBits)}`
    const fault = this.#findLongHeaderFault(header, isFirst)
    if (fault !== undefined) return fault
    if (header.pageAddress !== address) return `unexpected page address ${formatLsn(header.pageAddress)}`
    if (header.timeline > timeline || header.timeline === 0) {
      return `timeline ${header.timeline}, but the segment is of timeline ${timeline}`
    }
    return header.timeline < this.timeline
      ? `timeline ${header.timeline} after timeline ${this.timeline}`
      : undefined
  }

  #findLongHeaderFault({ long }: WalPageHeader, isFirst: boolean): string | undefined {
    const { segmentSize, systemIdentifier } = this.#expected
    if (long === undefined) {
      return isFirst ? 'the first page of a segment must have a long header' : undefined
    }
    if (long.segmentSize !== segmentSize) {
      return `segment size ${long.segmentSize}, but the cluster's is ${segmentSize}`
    }
    if (long.blockSize !== WAL_BLOCK_SIZE)
      return `page size ${long.blockSize}, but should be ${WAL_BLOCK_SIZE}`
    if (systemIdentifier !== undefined && long.systemIdentifier !== systemIdentifier) {
      return `WAL file is from different database system: its system identifier is ${long.systemIdentifier}, not ${systemIdentifier}`
    }
    return undefined
  }

  /** PostgreSQL's reader looks at xlp_rem_len only where it expects a continued record; servers write 0 elsewhere. */
  #findContinuationFault(): string | undefined {
    if (this.isContinuation === this.remainingLength > 0) return undefined
    return this.isContinuation
      ? 'contrecord flag, but no length of a continued record'
      : `length of a continued record ${this.remainingLength}, but no contrecord flag`
  }
}

/** Whether a page has no header: behind a SWITCH, the rest of a segment is zero. */
export function isBlankPage(view: DataView, at: number): boolean {
  for (let field = 0; field < WAL_PAGE_SHORT_HEADER_SIZE; field += 8) {
    if (view.getBigUint64(at + field, true) !== 0n) return false
  }
  return true
}

function hex4(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, '0')
}
