import { createPageChecker } from '../../postgres/data-page/page-checker.js'
import type { PageChecker } from '../../postgres/data-page/page-checksum.js'
import { findPageFile } from '../../postgres/data-page/page-files.js'
import { PAGE_SIZE } from '../../postgres/data-page/page-layout.js'
import type { ContentFindings } from './content-findings.js'
import type { ContentRules } from './decide-content-rules.js'
import type { FileContent } from './file-content.js'
import { IncrementalContent } from './incremental-content.js'
import { PageTally } from './page-tally.js'
import type { ReplayedWal } from './replayed-wal.js'

/** Whether there is anything in a file's content to look at, by its pathname. */
export function hasContent(pathname: string, rules: ContentRules): boolean {
  const file = findPageFile(pathname)
  if (file === undefined) return false
  return file.isIncremental ? rules.hasIncrementalFiles : rules.hasPageChecksums
}

/** Looks at the content of one file after the other, while they are read for their checksum. */
export class ContentCheck {
  readonly #rules: ContentRules
  readonly #checker: PageChecker
  readonly #replayedWal: ReplayedWal
  #content: FileContent | undefined
  /** Bytes at the beginning of the buffer that are no whole page. */
  #rest = 0

  /** @param bufferBytes - whole pages */
  constructor(rules: ContentRules, replayedWal: ReplayedWal, bufferBytes: number) {
    this.#rules = rules
    this.#replayedWal = replayedWal
    this.#checker = createPageChecker(bufferBytes)
  }

  /** Where files have to be read to. */
  get buffer(): Buffer {
    return this.#checker.buffer
  }

  /**
   * Begins a file.
   *
   * @param size - as the manifest says
   * @returns false when nothing in it is to be looked at
   */
  begin(pathname: string, size: number): boolean {
    this.#content = this.#contentOf(pathname, size)
    this.#rest = 0
    return this.#content !== undefined
  }

  /**
   * Looks at what was read, and moves what is no whole page to the beginning of the buffer.
   *
   * @param bytes - how many there are in the buffer
   * @returns how many of them are left there
   */
  readonly take = (bytes: number): number => {
    const count = Math.floor(bytes / PAGE_SIZE)
    this.#content?.takePages(count)
    this.#rest = bytes - count * PAGE_SIZE
    if (this.#rest > 0) this.buffer.copyWithin(0, count * PAGE_SIZE, bytes)
    return this.#rest
  }

  /** Ends the file: how many of its pages were checked, and what there is to be told of it. */
  end(): { readonly pages: number; readonly findings: ContentFindings | undefined } {
    const findings = this.#content?.end(this.#rest)
    return {
      pages: this.#content?.pages ?? 0,
      findings: findings !== undefined && isWorthTelling(findings) ? findings : undefined,
    }
  }

  #contentOf(pathname: string, size: number): FileContent | undefined {
    const { hasPageChecksums, hasIncrementalFiles, segmentPages } = this.#rules
    const file = findPageFile(pathname)
    if (file === undefined) return undefined
    const tally =
      hasPageChecksums && file.segment !== undefined
        ? new PageTally(this.#checker, this.#replayedWal, file.segment * segmentPages)
        : undefined
    if (!file.isIncremental) return tally && new RelationContent(tally)
    if (!hasIncrementalFiles) return undefined
    return new IncrementalContent({ buffer: this.buffer, size, segmentPages, tally })
  }
}

function isWorthTelling(findings: ContentFindings): boolean {
  const { badPages, partialPage, layoutFault } = findings
  return badPages.length > 0 || partialPage !== undefined || layoutFault !== undefined
}

/** A relation's file: pages from the first to the last. */
class RelationContent implements FileContent {
  pages = 0
  readonly #tally: PageTally

  constructor(tally: PageTally) {
    this.#tally = tally
  }

  takePages(count: number): void {
    this.#tally.check(0, count, this.pages)
    this.pages += count
  }

  end(bytes: number): ContentFindings {
    const { badPages, furtherNewer, furtherOlder } = this.#tally
    const partialPage = bytes === 0 ? undefined : { block: this.pages, bytes }
    return { badPages, furtherNewer, furtherOlder, partialPage, layoutFault: undefined }
  }
}
