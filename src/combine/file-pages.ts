import type { PageChecker } from '../postgres/data-page/page-checksum.js'
import { findPageFile } from '../postgres/data-page/page-files.js'
import type { Pathname } from '../files/pathname.js'
import { type ContentFindings, PageTally } from '../verify/content/page-tally.js'
import type { ContentRules } from '../verify/content/decide-content-rules.js'
import type { ReplayedWal } from '../verify/content/replayed-wal.js'

/** What was found in the pages of a file of the result. */
export interface PageFindings {
  readonly checked: number
  /** Of pages that no WAL of the last backup writes anew, since they are from an earlier one. */
  readonly certain: ContentFindings | undefined
  /** Of pages of the last backup: its WAL decides whether they matter. */
  readonly inQuestion: ContentFindings | undefined
}

/** What is needed to check pages. */
export interface PageRules {
  readonly content: ContentRules
  readonly checker: PageChecker
  /** Of the last backup. */
  readonly replayedWal: ReplayedWal
}

/** Checks the pages of one file of the result, as they are put into it. */
export class FilePages {
  readonly #tally: PageTally
  #checked = 0

  private constructor(tally: PageTally) {
    this.#tally = tally
  }

  /** `undefined` when the file has none, or they have no checksum. */
  static of(pathname: Pathname, rules: PageRules | undefined): FilePages | undefined {
    const segment = findPageFile(pathname)?.segment
    if (rules === undefined || segment === undefined) return undefined
    const { checker, replayedWal, content } = rules
    return new FilePages(new PageTally(checker, replayedWal, segment * content.segmentPages))
  }

  /** Takes pages at the beginning of the checker's buffer. @param first - the number of the first of them */
  take(count: number, first: number): void {
    this.#tally.check(0, count, first)
    this.#checked += count
  }

  /**
   * @param isOfLast - whether a page is from the last backup; `true` or `false`: all of them are, or none
   * @param restBytes - of the file, behind its last page
   */
  end(isOfLast: boolean | ((block: number) => boolean), restBytes: number): PageFindings {
    const { badPages, furtherNewer, furtherOlder } = this.#tally
    const decide = typeof isOfLast === 'function' ? isOfLast : () => isOfLast
    const ofLast = badPages.filter(({ block }) => decide(block))
    const others = badPages.filter(({ block }) => !decide(block))
    // Of those that were only counted it is not known, but when all are from one backup.
    const further = { furtherNewer, furtherOlder }
    const uncertain = { furtherNewer: 0, furtherOlder: isOfLast === true ? 0 : furtherNewer + furtherOlder }
    const partialPage = restBytes === 0 ? undefined : { block: this.#checked, bytes: restBytes }
    const isCertain = others.length > 0 || uncertain.furtherOlder > 0 || partialPage !== undefined
    return {
      checked: this.#checked,
      certain: isCertain
        ? { ...uncertain, badPages: others, partialPage, layoutFault: undefined }
        : undefined,
      inQuestion:
        ofLast.length === 0
          ? undefined
          : {
              furtherNewer: 0,
              furtherOlder: 0,
              ...(isOfLast === true && further),
              badPages: ofLast,
              partialPage: undefined,
              layoutFault: undefined,
            },
    }
  }
}
