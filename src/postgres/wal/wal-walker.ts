import { extendCrc32c } from '../crc32c.js'
import { formatLsn } from '../lsn.js'
import { WAL_BLOCK_SIZE, WAL_PAGE_LONG_HEADER_SIZE, WAL_PAGE_SHORT_HEADER_SIZE } from '../wal-page-header.js'
import { type ExpectedPages, isBlankPage, PageCheck } from './page-check.js'
import { isRecordCrc, PartialRecord } from './partial-record.js'
import { findRecordBodyFault } from './record-body.js'
import { RecordChain } from './record-chain.js'
import { findRecordLengthFault, isSwitch, RECORD_HEADER_SIZE } from './record-header.js'
import type { FirstRecord, WalFault, WalPosition } from './wal-position.js'

/** What a stretch of WAL should be, and where in it to begin and to end. */
export interface WalStretch extends ExpectedPages {
  /**
   * Where the wanted records begin: one must begin exactly there. Those before it on its page are read too, as
   * pg_waldump does; of earlier pages in the segment only the headers. `undefined`: with the first record that begins in
   * the stretch.
   */
  readonly startLsn: bigint | undefined
  /** A record must end exactly there. */
  readonly endLsn: bigint
  /** Where another walker has come to, to go on from there. */
  readonly position: WalPosition | undefined
}

/** In the words of PostgreSQL's reader. */
const WRONG_CRC = 'incorrect resource manager data checksum in record'

/**
 * Reads every record of a stretch of WAL, page after page, and checks what PostgreSQL's reader would check.
 *
 * Does no I/O, and keeps no more of a record than its beginning. Positions are offsets in the segment at hand: a segment
 * does not cross 4 GiB, so the upper half of all its LSNs is the same.
 *
 * @see src/backend/access/transam/xlogreader.c, XLogDecodeNextRecord
 */
export class WalWalker {
  /** Good records so far, from `startLsn` on. */
  records = 0
  readonly #stretch: WalStretch
  readonly #pages: PageCheck
  readonly #chain: RecordChain
  readonly #partial = new PartialRecord()
  #segmentLsn = 0n
  #high = 0
  #low = 0
  #isOwnSegment = true
  /** Until here pages were walked. */
  #walkedTo = 0
  /** Before this page, only headers of pages are checked. */
  #firstPage = 0
  /** Where the wanted records begin and end; may lie outside the segment. */
  #start = 0
  #end = 0
  /** Where the next record begins, or the page whose header it follows. */
  #next: number
  /** Whether the place of the first record is not known yet. */
  #isSeeking: boolean
  /** Bytes still to come of a record that began before the stretch. */
  #skipped = 0
  #hasBegun: boolean
  #isDone = false
  /** Of the unfinished record. */
  #partialHigh = 0
  #partialLow = 0
  #firstLsn: bigint | undefined
  #firstTimeline = 0
  #borderTimeline = 0

  constructor(stretch: WalStretch) {
    const { position, startLsn } = stretch
    this.#stretch = stretch
    this.#pages = new PageCheck(stretch, position?.timeline ?? 0)
    this.#chain = new RecordChain(stretch.format, position)
    this.#isSeeking = position === undefined
    this.#hasBegun = startLsn === undefined
    this.#next = 0
  }

  /** Whether a record ended exactly at the end of the stretch. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Whether what follows is needed to finish what has begun: a record, or the pages that a SWITCH has left empty. */
  get isInside(): boolean {
    return this.#partial.missing > 0 || (!this.#isSeeking && this.#next > this.#walkedTo)
  }

  /** Whether more pages of this segment are needed. */
  get wantsMore(): boolean {
    return !this.#isDone && (this.#isOwnSegment || this.isInside)
  }

  /** The first page of the segment that is needed. */
  get firstOffset(): number {
    return this.#stretch.position === undefined ? 0 : this.#firstPage
  }

  /** What was met first by a walker that was given no position; `undefined` when no record begins in the stretch. */
  get first(): FirstRecord | undefined {
    const lsn = this.#firstLsn
    const previousLsn = this.#chain.firstPreviousLsn
    if (lsn === undefined || previousLsn === undefined) return undefined
    return { lsn, previousLsn, timeline: this.#firstTimeline }
  }

  /** Where to go on; `undefined` inside of a record, or before the first one. */
  get position(): WalPosition | undefined {
    if (this.#isSeeking || this.isInside) return undefined
    return {
      lsn: this.#segmentLsn + BigInt(this.#next),
      previousLsn: this.#chain.previousLsn,
      timeline: this.#isOwnSegment ? this.#pages.timeline : this.#borderTimeline,
      abandonedLsn: this.#chain.abandonedLsn,
    }
  }

  /**
   * Says that the pages to come are those of this segment: the stretch's first, later the one that follows.
   *
   * @param isOwn - `false` when another walker begins with this segment: then only what has begun is finished.
   */
  beginSegment(segmentLsn: bigint, isOwn: boolean): void {
    const { startLsn, endLsn, position, segmentSize } = this.#stretch
    const isFirst = this.#walkedTo === 0
    if (this.#isOwnSegment && !isOwn) this.#borderTimeline = this.#pages.timeline
    this.#isOwnSegment = isOwn
    this.#segmentLsn = segmentLsn
    this.#high = Number(segmentLsn >> 32n)
    this.#low = Number(segmentLsn & 0xffff_ffffn)
    this.#end = Number(endLsn - segmentLsn)
    this.#start = startLsn === undefined ? 0 : Number(startLsn - segmentLsn)
    this.#walkedTo = 0
    if (!isFirst) {
      this.#firstPage = 0
      this.#next -= segmentSize
    } else if (position === undefined) {
      this.#firstPage = pageOf(this.#start)
      // A range may begin with a page, but a record begins behind the page's header.
      if (this.#start === this.#firstPage) this.#start += headerSizeAt(this.#start)
    } else {
      this.#next = Number(position.lsn - segmentLsn)
      this.#firstPage = pageOf(this.#next)
      this.#isDone = this.#next === this.#end
    }
  }

  /**
   * Walks over pages of the segment, in their order.
   *
   * @param view - holds whole pages.
   * @param offset - where in the segment they begin.
   * @returns what is wrong; then the walk is over
   */
  walk(view: DataView, offset: number): WalFault | undefined {
    for (let at = 0; at < view.byteLength && this.wantsMore; at += WAL_BLOCK_SIZE) {
      const fault = this.#walkPage(view, at, offset + at)
      this.#walkedTo = offset + at + WAL_BLOCK_SIZE
      if (fault !== undefined) return fault
    }
    return undefined
  }

  /** Says that there are no more pages before the end of the stretch. */
  finish(): WalFault | undefined {
    this.#isDone = true
    if (this.#partial.missing > 0) return this.#partialFault('it goes on beyond the end of the WAL range')
    return this.#hasBegun ? undefined : this.#startFault()
  }

  #walkPage(view: DataView, at: number, offset: number): WalFault | undefined {
    if (offset >= this.#end) return this.finish()
    if (offset >= this.#firstPage && this.#isLeftEmpty(offset)) {
      return isBlankPage(view, at) ? undefined : this.#pageFault(offset, 'it should be empty, after a SWITCH')
    }
    const reason = this.#pages.findFault(view, at, this.#high, this.#low + offset)
    if (reason !== undefined) return this.#pageFault(offset, reason)
    if (offset < this.#firstPage) return undefined
    const fault = this.#enterPage(view, at, offset)
    return fault !== undefined || !this.#isOwnSegment ? fault : this.#walkRecords(view, at, offset)
  }

  /** Whether the rest of the segment was given up by a SWITCH before this page. */
  #isLeftEmpty(offset: number): boolean {
    return !this.#isSeeking && this.#partial.missing === 0 && this.#next >= offset + WAL_BLOCK_SIZE
  }

  /** Goes to the first record of the page: behind its header, and behind the rest of a record from the page before. */
  #enterPage(view: DataView, at: number, offset: number): WalFault | undefined {
    const pages = this.#pages
    if (this.#partial.missing > 0) {
      if (!pages.isOverwrite) return this.#continueRecord(view, at, offset)
      this.#chain.abandonedLsn = lsnOf(this.#partialHigh, this.#partialLow)
      this.#partial.abandon()
      this.#next = offset
    }
    if (this.#isSeeking) return this.#seek(offset)
    if (this.#next !== offset || !this.#isOwnSegment) return undefined
    if (pages.isContinuation)
      return this.#pageFault(offset, 'contrecord flag, but no record is to be continued')
    this.#chain.mustOverwrite = pages.isOverwrite
    this.#next += pages.headerSize
    return undefined
  }

  /** Looks for the first record that begins in the stretch, behind the rest of one that began before. */
  #seek(offset: number): WalFault | undefined {
    const { isContinuation, isOverwrite, headerSize, remainingLength, timeline } = this.#pages
    const rest = isContinuation ? remainingLength : 0
    if (offset === this.#firstPage && this.#firstTimeline === 0) this.#firstTimeline = timeline
    else if (rest !== this.#skipped && !isOverwrite) {
      return this.#pageFault(offset, `invalid contrecord length ${rest} (expected ${this.#skipped})`)
    }
    const size = Math.min(rest, WAL_BLOCK_SIZE - headerSize)
    this.#skipped = rest - size
    this.#next = offset + headerSize + align(size)
    if (this.#skipped > 0) return undefined
    this.#isSeeking = false
    this.#chain.mustOverwrite = isOverwrite
    this.#firstLsn = this.#segmentLsn + BigInt(rest === 0 ? offset : this.#next)
    return undefined
  }

  #continueRecord(view: DataView, at: number, offset: number): WalFault | undefined {
    const { isContinuation, headerSize, remainingLength } = this.#pages
    const partial = this.#partial
    if (!isContinuation) return this.#partialFault(`there is no contrecord flag at ${this.#textOf(offset)}`)
    if (remainingLength !== partial.missing) {
      const what = `invalid contrecord length ${remainingLength} (expected ${partial.missing})`
      return this.#partialFault(`${what} at ${this.#textOf(offset)}`)
    }
    const size = Math.min(partial.missing, WAL_BLOCK_SIZE - headerSize)
    const fault = this.#addToRecord(view, at + headerSize, size)
    this.#next = offset + headerSize + align(size)
    if (fault !== undefined || partial.missing > 0) return fault
    return this.#finishRecord()
  }

  #addToRecord(view: DataView, at: number, size: number): WalFault | undefined {
    const partial = this.#partial
    const hadHeader = partial.hasHeader
    partial.add(view, at, size)
    if (hadHeader || !partial.hasHeader) return undefined
    const reason = this.#chain.findHeaderFault(partial.head, 0, this.#partialHigh, this.#partialLow)
    return reason === undefined ? undefined : this.#partialFault(reason)
  }

  #finishRecord(): WalFault | undefined {
    const { head, headLength, length } = this.#partial
    const reason = this.#partial.isIntact()
      ? findRecordBodyFault(head, 0, headLength, length, this.#stretch.format)
      : WRONG_CRC
    const fault = reason ?? this.#accept(head, 0, this.#partialHigh, this.#partialLow)
    return fault === undefined ? undefined : this.#partialFault(fault)
  }

  /** Walks over the records that begin on the page. */
  #walkRecords(view: DataView, at: number, offset: number): WalFault | undefined {
    const pageEnd = offset + WAL_BLOCK_SIZE
    while (this.#next < pageEnd && !this.#isDone) {
      const { format } = this.#stretch
      const start = this.#next
      if (start === this.#end) {
        this.#isDone = true
        return undefined
      }
      if (!this.#hasBegun && start >= this.#start) {
        if (start > this.#start) return this.#startFault()
        this.#hasBegun = true
      }
      const place = at + start - offset
      const length = view.getUint32(place, true)
      const lengthFault = findRecordLengthFault(length)
      if (lengthFault !== undefined) return this.#recordFault(start, lengthFault)
      if (length > pageEnd - start) return this.#beginRecord(view, place, start, length)
      const low = this.#low + start
      const headerFault = this.#chain.findHeaderFault(view, place, this.#high, low)
      if (headerFault !== undefined) return this.#recordFault(start, headerFault)
      const crc = extendCrc32c(-1, view, place + RECORD_HEADER_SIZE, place + length)
      const reason = isRecordCrc(crc, view, place)
        ? findRecordBodyFault(view, place, length, length, format)
        : WRONG_CRC
      if (reason !== undefined) return this.#recordFault(start, reason)
      this.#next = start + align(length)
      const fault = this.#accept(view, place, this.#high, low)
      if (fault !== undefined) return this.#recordFault(start, fault)
    }
    return undefined
  }

  /** Takes the part of a record that is on this page. */
  #beginRecord(view: DataView, place: number, start: number, length: number): WalFault | undefined {
    const size = WAL_BLOCK_SIZE - (start % WAL_BLOCK_SIZE)
    this.#partialHigh = this.#high
    this.#partialLow = this.#low + start
    this.#partial.begin(length)
    this.#next = start + size
    return this.#addToRecord(view, place, size)
  }

  /** Counts a good record, and goes to where the next one begins. */
  #accept(view: DataView, at: number, high: number, low: number): string | undefined {
    const fault = this.#chain.accept(view, at, high, low)
    if (fault !== undefined) return fault
    if (isSwitch(view, at)) this.#next = alignTo(this.#next, this.#stretch.segmentSize)
    if (this.#next > this.#end) {
      return `it ends at ${this.#textOf(this.#next)}, beyond the end of the WAL range`
    }
    this.#isDone = this.#next === this.#end
    if (this.#hasBegun) this.records++
    return undefined
  }

  #startFault(): WalFault {
    const lsn = this.#segmentLsn + BigInt(this.#start)
    return { lsn, what: 'record', reason: 'no record begins there' }
  }

  #recordFault(offset: number, reason: string): WalFault {
    return { lsn: this.#segmentLsn + BigInt(offset), what: 'record', reason }
  }

  #partialFault(reason: string): WalFault {
    return { lsn: lsnOf(this.#partialHigh, this.#partialLow), what: 'record', reason }
  }

  #pageFault(offset: number, reason: string): WalFault {
    return { lsn: this.#segmentLsn + BigInt(offset), what: 'page', reason }
  }

  #textOf(offset: number): string {
    return formatLsn(this.#segmentLsn + BigInt(offset))
  }
}

function pageOf(offset: number): number {
  return offset - (offset % WAL_BLOCK_SIZE)
}

function headerSizeAt(pageOffset: number): number {
  return pageOffset === 0 ? WAL_PAGE_LONG_HEADER_SIZE : WAL_PAGE_SHORT_HEADER_SIZE
}

/** Records begin where the LSN is a multiple of 8. */
function align(size: number): number {
  return alignTo(size, 8)
}

/** @param unit - a power of two. */
function alignTo(size: number, unit: number): number {
  return (size + unit - 1) & -unit
}

function lsnOf(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}
