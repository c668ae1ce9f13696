import { formatLsn } from '../lsn.js'
import {
  isOverwriteContrecord,
  isResourceManager,
  RECORD_HEADER_SIZE,
  recordFields,
} from './record-header.js'
import type { WalFormat } from '../versions.js'
import { alignRecord, lsnOf } from './wal-geometry.js'
import type { WalPosition } from './wal-stretch.js'
import { WAL_BLOCK_SIZE } from '../wal-page-header.js'
import type { PageCheck } from './page-check.js'

/** Where a record of OVERWRITE_CONTRECORD names the record that was given up: behind the data's id and length. */
const OVERWRITTEN_LSN = RECORD_HEADER_SIZE + 2

/**
 * What ties a record to the one before it: the link to it, and the word of a record that takes the place of another.
 *
 * An LSN is a pair of 32 bits, because a `bigint` for each record would cost more than its CRC.
 */
export class RecordChain {
  /** The record that was given up unfinished; the next one has to name it. */
  abandonedLsn: bigint | undefined
  /** The page says that it begins with a record that takes the place of another. */
  mustOverwrite = false
  /** Where the first record, met at an unknown position, says that the one before it begins. */
  firstPreviousLsn: bigint | undefined
  readonly #format: WalFormat
  #knowsPrevious: boolean
  #previousHigh = 0
  #previousLow = 0

  constructor(format: WalFormat, position: WalPosition | undefined) {
    this.#format = format
    this.#knowsPrevious = position !== undefined
    if (position === undefined) return
    this.abandonedLsn = position.abandonedLsn
    this.#previousHigh = Number(position.previousLsn >> 32n)
    this.#previousLow = Number(position.previousLsn & 0xffff_ffffn)
  }

  /** Where the last record begins. */
  get previousLsn(): bigint {
    return lsnOf(this.#previousHigh, this.#previousLow)
  }

  /**
   * Checks what a record's header says, but for its length.
   *
   * @param high - the upper half of the record's LSN; `low` is the lower.
   * @see src/backend/access/transam/xlogreader.c, ValidXLogRecordHeader
   */
  findHeaderFault(view: DataView, at: number, high: number, low: number): string | undefined {
    const resourceManager = view.getUint8(at + recordFields.resourceManager)
    if (!isResourceManager(resourceManager, this.#format)) {
      return `invalid resource manager ID ${resourceManager}`
    }
    const previousLow = view.getUint32(at + recordFields.previous, true)
    const previousHigh = view.getUint32(at + recordFields.previous + 4, true)
    const isLinked = this.#knowsPrevious
      ? previousLow === this.#previousLow && previousHigh === this.#previousHigh
      : previousHigh < high || (previousHigh === high && previousLow < low)
    if (!isLinked) {
      return `record with incorrect prev-link ${formatLsn(lsnOf(previousHigh, previousLow))}`
    }
    if (!this.#knowsPrevious) this.firstPreviousLsn = lsnOf(previousHigh, previousLow)
    return undefined
  }

  /** Takes a record that is otherwise good as the last one. */
  accept(view: DataView, at: number, high: number, low: number): string | undefined {
    const fault = this.mustOverwrite ? this.#findOverwriteFault(view, at) : undefined
    this.#knowsPrevious = true
    this.#previousHigh = high
    this.#previousLow = low
    return fault
  }

  /** Only recovery compares this, but then stops. @see src/backend/access/transam/xlogrecovery.c, VerifyOverwriteContrecord */
  #findOverwriteFault(view: DataView, at: number): string | undefined {
    const abandoned = this.abandonedLsn
    this.mustOverwrite = false
    this.abandonedLsn = undefined
    const isLong = view.getUint32(at + recordFields.totalLength, true) >= OVERWRITTEN_LSN + 8
    if (!isLong || !isOverwriteContrecord(view, at)) {
      return 'the page says that it overwrites an unfinished record, but this record does not'
    }
    const overwritten = view.getBigUint64(at + OVERWRITTEN_LSN, true)
    return abandoned === undefined || overwritten === abandoned
      ? undefined
      : `mismatching overwritten LSN ${formatLsn(overwritten)} -> ${formatLsn(abandoned)}`
  }
}

/** Looks for the first record that begins in a stretch of WAL, behind the rest of one that began before. */
export class FirstRecordSearch {
  isOver: boolean
  /** Where the first record begins, or the page whose header it follows. */
  lsn: bigint | undefined
  /** Of the first page. */
  timeline = 0
  /** Bytes still to come of the record that began before; `undefined` before the first page. */
  #rest: number | undefined

  constructor(isOver: boolean) {
    this.isOver = isOver
  }

  /**
   * @param pages - has checked the page.
   * @param pageLsn - where the page begins.
   * @returns where on the page the next record begins, or what is wrong
   */
  look(pages: PageCheck, pageLsn: bigint): number | string {
    const { isContinuation, isOverwrite, headerSize, remainingLength, timeline } = pages
    const rest = isContinuation ? remainingLength : 0
    if (this.#rest === undefined) this.timeline = timeline
    else if (rest !== this.#rest && !isOverwrite) {
      return `invalid contrecord length ${rest} (expected ${this.#rest})`
    }
    const size = Math.min(rest, WAL_BLOCK_SIZE - headerSize)
    const next = headerSize + alignRecord(size)
    this.#rest = rest - size
    if (this.#rest > 0) return next
    this.isOver = true
    this.lsn = rest === 0 ? pageLsn : pageLsn + BigInt(next)
    return next
  }
}
