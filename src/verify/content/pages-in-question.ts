import { PbManifestError } from '../../errors.js'
import type { Pathname } from '../../files/pathname.js'
import type { ControlFile } from '../../postgres/control-file.js'
import { STOCK_SEGMENT_PAGES } from '../../postgres/data-page/page-layout.js'
import { findRelationFork } from '../../postgres/data-page/page-files.js'
import { type FirstTouches, packBlocks, type WantedBlocks } from '../../postgres/wal/block-touches.js'
import type { BlockAddress } from '../../postgres/wal/record-body.js'
import type { VerifyContext } from '../verify-context.js'
import type { CheckedPages } from '../report.js'
import type { ProblemPlace } from '../share.js'
import { pageProblems } from './content-problems.js'
import type { BadPage, ContentFindings } from './page-tally.js'

/** So many pages are looked for in the WAL. More are not torn in copying: the files are not what they are taken for. */
const MAX_PAGES = 100_000

/** Where what there is to say goes. */
type PageReport = Pick<VerifyContext, 'problems' | 'notChecked' | 'options'>

interface FileInQuestion {
  readonly pathname: Pathname
  readonly pages: readonly BadPage[]
  readonly furtherNewer: number
  readonly furtherOlder: number
  readonly place: ProblemPlace | undefined
}

/**
 * Pages that are not as they should be. Those that the replay of the backup's WAL writes anew, without looking at them, are
 * harmless: they were copied while they were written, or never written by the server before it was copied.
 */
export class PagesInQuestion {
  readonly #files: FileInQuestion[] = []
  #count = 0

  get isEmpty(): boolean {
    return this.#files.length === 0
  }

  /** Takes those of one file. */
  add(
    pathname: Pathname,
    { badPages, furtherNewer, furtherOlder }: ContentFindings,
    place?: ProblemPlace,
  ): void {
    if (badPages.length === 0) return
    const pages = badPages.slice(0, Math.max(MAX_PAGES - this.#count, 5))
    const rest = badPages.slice(pages.length)
    const restNewer = rest.filter(({ isNewer }) => isNewer).length
    this.#count += pages.length
    this.#files.push({
      pathname,
      pages,
      furtherNewer: furtherNewer + restNewer,
      furtherOlder: furtherOlder + rest.length - restNewer,
      place,
    })
  }

  /** All of them, in their order. */
  wanted(control: ControlFile | undefined): WantedBlocks {
    const segmentPages = control?.relationSegmentSize ?? STOCK_SEGMENT_PAGES
    return packBlocks(
      this.#files.flatMap(({ pathname, pages }): BlockAddress[] => {
        const { segment, ...fork } = findRelationFork(pathname) ?? noFork
        return pages.map(({ block }) => ({ ...fork, block: segment * segmentPages + block }))
      }),
    )
  }

  /**
   * Reports those that matter, and counts all.
   *
   * Of a backup in whose WAL data checksums are switched, nothing can be said: pages may be without.
   *
   * @param touches - what the WAL has of the wanted blocks; `undefined` when that is not known: then their own LSN decides
   * @throws {@link PbManifestError} `USAGE` when page checksums were asked for and cannot be checked
   */
  report(
    touches: FirstTouches | undefined,
    { problems, notChecked, options }: PageReport,
  ): Omit<CheckedPages, 'checked'> {
    if (touches?.checksumSwitch[0] === 1 && this.#files.length > 0) {
      const why = 'data checksums were switched while the backup was taken'
      if (options.pageChecksums === 'on') {
        throw new PbManifestError('USAGE', `cannot check page checksums: ${why}`)
      }
      notChecked.push({ what: 'page-checksums', why })
      return { mismatched: 0, newer: 0, replayed: 0 }
    }
    const counts = { mismatched: 0, newer: 0, replayed: 0 }
    const detail =
      touches === undefined ? 'the WAL, whose replay may write it anew, was not read to its end' : undefined
    let place = 0
    for (const { pathname, pages, furtherNewer, furtherOlder, place: at } of this.#files) {
      const bad: BadPage[] = []
      for (const page of pages) {
        const isHarmless = touches === undefined ? page.isNewer : touches.writesAnew[place] === 1
        place++
        if (!isHarmless) bad.push(page)
        else if (page.isNewer) counts.newer++
        else counts.replayed++
      }
      counts.newer += furtherNewer
      counts.mismatched += bad.length + furtherOlder
      for (const problem of pageProblems(pathname, bad, furtherOlder, detail)) problems.add(problem, at)
    }
    return counts
  }
}

/** Of a file of which no record can name a block. */
const noFork = { tablespaceOid: 0, databaseOid: 0, relationNumber: 0, fork: 0, segment: 0 }
