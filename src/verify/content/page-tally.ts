import type { PageChecker } from '../../postgres/data-page/page-checker.js'
import { pageChecksum } from '../../postgres/data-page/page-checksum.js'
import { PAGE_SIZE, readPageHeader } from '../../postgres/data-page/page-layout.js'
import type { PageMismatch } from './content-findings.js'
import type { ReplayedWal } from './replayed-wal.js'

/** More pages of a file are counted, not named: PostgreSQL stops there too. */
const MAX_NAMED = 5

/** Checks the pages of one file, and keeps count. */
export class PageTally {
  readonly mismatches: PageMismatch[] = []
  mismatchCount = 0
  newerCount = 0
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

  #add(start: number, block: number): void {
    const { buffer } = this.#checker
    const { lsn, checksum: stored } = readPageHeader(buffer, start)
    if (this.#replayedWal.writesPageOf(lsn)) {
      this.newerCount++
      return
    }
    this.mismatchCount++
    if (this.mismatches.length === MAX_NAMED) return
    this.mismatches.push({ block, computed: pageChecksum(buffer, start, this.#firstBlock + block), stored })
  }
}
