import { type PageChecker, pageChecksum } from '../../postgres/data-page/page-checksum.js'
import { PAGE_SIZE, pageOffsets, readPageHeader } from '../../postgres/data-page/page-layout.js'
import type { ReplayedWal } from './replayed-wal.js'

/** More pages of a file are counted only. In a damaged file many are bad, but torn in copying were never more than a few. */
const MAX_KEPT = 100

const ZEROS = Buffer.alloc(PAGE_SIZE)

/** Checks the pages of one file, and keeps count. */
export class PageTally {
  readonly badPages: BadPage[] = []
  furtherNewer = 0
  furtherOlder = 0
  readonly #checker: PageChecker
  readonly #replayedWal: ReplayedWal
  /** The number of the file's first page in its fork. */
  readonly #firstBlock: number

  constructor(checker: PageChecker, replayedWal: ReplayedWal, firstBlock: number) {
    this.#checker = checker
    this.#replayedWal = replayedWal
    this.#firstBlock = firstBlock
  }

  /**
   * Checks pages that follow each other.
   *
   * @param start - where in the checker's buffer the first begins
   * @param block - the number of the first, counted from the beginning of the relation's file
   */
  check(start: number, count: number, block: number): void {
    this.#checkNewPages(start, count, block)
    for (let index = 0; index < count; index++) {
      const right = this.#checker.findMismatch(
        start + index * PAGE_SIZE,
        count - index,
        this.#firstBlock + block + index,
      )
      if (right === -1) return
      index += right
      this.#add(start + index * PAGE_SIZE, block + index)
    }
  }

  /** A page without an upper end is new, and has no checksum; then it is all zeros. @see src/backend/storage/page/bufpage.c */
  #checkNewPages(start: number, count: number, block: number): void {
    const { buffer } = this.#checker
    for (let index = 0; index < count; index++) {
      const page = start + index * PAGE_SIZE
      if (buffer.readUInt16LE(page + pageOffsets.upper) !== 0) continue
      if (ZEROS.compare(buffer, page, page + PAGE_SIZE) !== 0) this.#add(page, block + index)
    }
  }

  #add(start: number, block: number): void {
    const { buffer } = this.#checker
    const { lsn, checksum: stored } = readPageHeader(buffer, start)
    const isNewer = this.#replayedWal.writesPageOf(lsn)
    if (this.badPages.length === MAX_KEPT) {
      if (isNewer) this.furtherNewer++
      else this.furtherOlder++
      return
    }
    const looksNew = buffer.readUInt16LE(start + pageOffsets.upper) === 0
    const computed = looksNew ? 0 : pageChecksum(buffer, start, this.#firstBlock + block)
    this.badPages.push({ block, lsn, isNewer, checksums: looksNew ? undefined : { computed, stored } })
  }
}

/** A page that is not as it should be. Whether that matters may depend on the WAL. */
export interface BadPage {
  /** Counted from the beginning of the relation's file, the way of `dd skip=`. */
  readonly block: number
  /** Its own: the end of the last WAL record that changed it. */
  readonly lsn: bigint
  /** Whether it was changed while the backup was taken, by its LSN. */
  readonly isNewer: boolean
  /** The checksum that it should have and that it has; `undefined` for a page that looks new, but is not all zeros. */
  readonly checksums: { readonly computed: number; readonly stored: number } | undefined
}

/** What is wrong with the content of a file, or worth to be counted. Plain data: it crosses threads. */
export interface ContentFindings {
  /** The first few. */
  readonly badPages: readonly BadPage[]
  /** How many there are besides, of those that were changed while the backup was taken and of others. */
  readonly furtherNewer: number
  readonly furtherOlder: number
  /** What follows the last whole page. */
  readonly partialPage: { readonly block: number; readonly bytes: number } | undefined
  /** What is wrong with the layout of an incremental file: `has ...`. */
  readonly layoutFault: string | undefined
}
