import { WAL_BLOCK_SIZE } from '../wal-page-header.js'
import { BlockTouches } from './block-touches.js'
import { FirstRecordSearch, RecordChain } from './record-chain.js'
import { isBlankPage, PageCheck } from './page-check.js'
import { PartialRecord } from './partial-record.js'
import { findRecordBodyFault } from './record-body.js'
import { plainRecordCrc, type RecordCrc } from './record-crc.js'
import { findRecordLengthFault, isSwitch } from './record-header.js'
import { alignRecord, alignTo, headerSizeAt, pageOf, SegmentFrame } from './wal-geometry.js'
import type { FirstRecord, WalFault, WalPosition, WalStretch } from './wal-stretch.js'

/** In the words of PostgreSQL's reader. */
const WRONG_CRC = 'incorrect resource manager data checksum in record'
const NO_RECORD = 'no record begins there'

/**
 * Reads every record of a stretch of WAL, page after page, and checks what PostgreSQL's reader would check.
 *
 * Does no I/O, and keeps no more of a record than its beginning. Positions are offsets in the segment at hand.
 *
 * @see src/backend/access/transam/xlogreader.c, XLogDecodeNextRecord
 */
export class WalWalker {
  /** Good records so far, from `startLsn` on. */
  records = 0
  readonly #stretch: WalStretch
  readonly #pages: PageCheck
  readonly #chain: RecordChain
  readonly #partial: PartialRecord
  readonly #crc: RecordCrc
  /** Looks for the wanted blocks in the records. */
  readonly touches: BlockTouches | undefined
  #segment = new SegmentFrame(0n)
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
  /** Over at once when the position is known. */
  readonly #search: FirstRecordSearch
  #hasBegun: boolean
  #isDone = false
  #borderTimeline = 0

  /** @param crc - for the views that are given to `walk` */
  constructor(stretch: WalStretch, crc: RecordCrc = plainRecordCrc) {
    const { position, startLsn } = stretch
    this.#crc = crc
    this.#partial = new PartialRecord(crc)
    this.#stretch = stretch
    const { wanted, format } = stretch
    this.touches = wanted && new BlockTouches(wanted, format)
    this.#pages = new PageCheck(stretch, position?.timeline ?? 0)
    this.#chain = new RecordChain(stretch.format, position)
    this.#search = new FirstRecordSearch(position !== undefined)
    this.#hasBegun = startLsn === undefined
    this.#next = 0
  }

  /** Whether a record ended exactly at the end of the stretch. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Whether what follows is needed to finish what has begun: a record, or the pages that a SWITCH has left empty. */
  get isInside(): boolean {
    return this.#partial.missing > 0 || (this.#search.isOver && this.#next > this.#walkedTo)
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
    const { lsn, timeline } = this.#search
    const previousLsn = this.#chain.firstPreviousLsn
    return lsn === undefined || previousLsn === undefined ? undefined : { lsn, previousLsn, timeline }
  }

  /** Where to go on; `undefined` inside of a record, or before the first one. */
  get position(): WalPosition | undefined {
    if (!this.#search.isOver || this.isInside) return undefined
    return {
      lsn: this.#segment.lsnAt(this.#next),
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
    const segment = new SegmentFrame(segmentLsn)
    this.#segment = segment
    this.#end = segment.offsetOf(endLsn)
    this.#start = startLsn === undefined ? 0 : segment.offsetOf(startLsn)
    this.#walkedTo = 0
    if (!isFirst) {
      this.#firstPage = 0
      this.#next -= segmentSize
    } else if (position === undefined) {
      this.#firstPage = pageOf(this.#start)
      // A range may begin with a page, but a record begins behind the page's header.
      if (this.#start === this.#firstPage) this.#start += headerSizeAt(this.#start)
    } else {
      this.#next = segment.offsetOf(position.lsn)
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
    return this.#hasBegun ? undefined : this.#fault('record', this.#start, NO_RECORD)
  }

  #walkPage(view: DataView, at: number, offset: number): WalFault | undefined {
    if (offset >= this.#end) return this.finish()
    if (offset >= this.#firstPage && this.#isLeftEmpty(offset)) {
      return isBlankPage(view, at)
        ? undefined
        : this.#fault('page', offset, 'it should be empty, after a SWITCH')
    }
    const reason = this.#pages.findFault(view, at, this.#segment.high, this.#segment.low + offset)
    if (reason !== undefined) return this.#fault('page', offset, reason)
    if (offset < this.#firstPage) return undefined
    const fault = this.#enterPage(view, at, offset)
    return fault !== undefined || !this.#isOwnSegment ? fault : this.#walkRecords(view, at, offset)
  }

  /** Whether the rest of the segment was given up by a SWITCH before this page. */
  #isLeftEmpty(offset: number): boolean {
    return this.#search.isOver && this.#partial.missing === 0 && this.#next >= offset + WAL_BLOCK_SIZE
  }

  /** Goes to the first record of the page: behind its header, and behind the rest of a record from the page before. */
  #enterPage(view: DataView, at: number, offset: number): WalFault | undefined {
    const pages = this.#pages
    if (this.#partial.missing > 0) {
      if (!pages.isOverwrite) return this.#continueRecord(view, at, offset)
      this.#chain.abandonedLsn = this.#partial.lsn
      this.#partial.abandon()
      this.#next = offset
    }
    if (!this.#search.isOver) return this.#seek(offset)
    if (this.#next !== offset || !this.#isOwnSegment) return undefined
    if (pages.isContinuation)
      return this.#fault('page', offset, 'contrecord flag, but no record is to be continued')
    this.#chain.mustOverwrite = pages.isOverwrite
    this.#next += pages.headerSize
    return undefined
  }

  #seek(offset: number): WalFault | undefined {
    const next = this.#search.look(this.#pages, this.#segment.lsnAt(offset))
    if (typeof next === 'string') return this.#fault('page', offset, next)
    this.#next = offset + next
    this.#chain.mustOverwrite = this.#search.isOver && this.#pages.isOverwrite
    return undefined
  }

  #continueRecord(view: DataView, at: number, offset: number): WalFault | undefined {
    const { isContinuation, headerSize, remainingLength } = this.#pages
    const partial = this.#partial
    if (!isContinuation)
      return this.#partialFault(`there is no contrecord flag at ${this.#segment.textAt(offset)}`)
    if (remainingLength !== partial.missing) {
      const what = `invalid contrecord length ${remainingLength} (expected ${partial.missing})`
      return this.#partialFault(`${what} at ${this.#segment.textAt(offset)}`)
    }
    const size = Math.min(partial.missing, WAL_BLOCK_SIZE - headerSize)
    const fault = this.#addToRecord(view, at + headerSize, size)
    this.#next = offset + headerSize + alignRecord(size)
    if (fault !== undefined || partial.missing > 0) return fault
    return this.#finishRecord()
  }

  #addToRecord(view: DataView, at: number, size: number): WalFault | undefined {
    const partial = this.#partial
    const hadHeader = partial.hasHeader
    partial.add(view, at, size)
    if (hadHeader || !partial.hasHeader) return undefined
    const reason = this.#chain.findHeaderFault(partial.head, 0, partial.high, partial.low)
    return reason === undefined ? undefined : this.#partialFault(reason)
  }

  #finishRecord(): WalFault | undefined {
    const { head, headLength, length, high, low } = this.#partial
    const reason = this.#partial.isIntact()
      ? findRecordBodyFault(head, 0, headLength, length, this.#stretch.format)
      : WRONG_CRC
    const fault = reason ?? this.#accept(head, 0, headLength, high, low)
    return fault === undefined ? undefined : this.#partialFault(fault)
  }

  /** Walks over the records that begin on the page. */
  #walkRecords(view: DataView, at: number, offset: number): WalFault | undefined {
    const pageEnd = offset + WAL_BLOCK_SIZE
    const { high, low: segmentLow } = this.#segment
    let intactTo = 0 // The CRCs of all records of the page are looked at in one go.
    while (this.#next < pageEnd && !this.#isDone) {
      const { format } = this.#stretch
      const start = this.#next
      if (start === this.#end) {
        this.#isDone = true
        return undefined
      }
      if (!this.#hasBegun && start >= this.#start) {
        if (start > this.#start) return this.#fault('record', this.#start, NO_RECORD)
        this.#hasBegun = true
      }
      const place = at + start - offset
      const length = view.getUint32(place, true)
      const lengthFault = findRecordLengthFault(length)
      if (lengthFault !== undefined) return this.#fault('record', start, lengthFault)
      if (length > pageEnd - start) return this.#beginRecord(view, place, start, length)
      const low = segmentLow + start
      const headerFault = this.#chain.findHeaderFault(view, place, high, low)
      if (headerFault !== undefined) return this.#fault('record', start, headerFault)
      if (place >= intactTo) intactTo = this.#crc.skipIntact(view, place, at + WAL_BLOCK_SIZE)
      const reason = place < intactTo ? findRecordBodyFault(view, place, length, length, format) : WRONG_CRC
      if (reason !== undefined) return this.#fault('record', start, reason)
      this.#next = start + alignRecord(length)
      const fault = this.#accept(view, place, length, high, low)
      if (fault !== undefined) return this.#fault('record', start, fault)
    }
    return undefined
  }

  /** Takes the part of a record that is on this page. */
  #beginRecord(view: DataView, place: number, start: number, length: number): WalFault | undefined {
    const size = WAL_BLOCK_SIZE - (start % WAL_BLOCK_SIZE)
    this.#partial.begin(length, this.#segment.high, this.#segment.low + start)
    this.#next = start + size
    return this.#addToRecord(view, place, size)
  }

  /** Counts a good record, and goes to where the next one begins. */
  #accept(view: DataView, at: number, known: number, high: number, low: number): string | undefined {
    const fault = this.#chain.accept(view, at, high, low)
    if (fault !== undefined) return fault
    if (this.#hasBegun) this.touches?.add(view, at, known, high, low)
    if (isSwitch(view, at)) this.#next = alignTo(this.#next, this.#stretch.segmentSize)
    const ends = this.#hasBegun && this.#stretch.onRecord?.(view, at, known, this.#segment.lsnAt(this.#next))
    if (this.#next > this.#end) {
      return `it ends at ${this.#segment.textAt(this.#next)}, beyond the end of the WAL range`
    }
    this.#isDone = ends === true || this.#next === this.#end
    if (this.#hasBegun) this.records++
    return undefined
  }

  #fault(what: WalFault['what'], offset: number, reason: string): WalFault {
    return { lsn: this.#segment.lsnAt(offset), what, reason }
  }

  #partialFault(reason: string): WalFault {
    return { lsn: this.#partial.lsn, what: 'record', reason }
  }
}
