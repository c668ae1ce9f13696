import type { ContentFindings } from './content-findings.js'
import type { FileContent } from './file-content.js'
import type { PageTally } from './page-tally.js'

/** A relation's file: pages from the first to the last. */
export class RelationContent implements FileContent {
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
