import { WAL_BLOCK_SIZE } from '../wal-page-header.js'
import type { PageCheck } from './page-check.js'
import { alignRecord } from './wal-geometry.js'

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
