import { createPageChecker } from '../../postgres/data-page/page-checker.js'
import type { PageChecker } from '../../postgres/data-page/page-checksum.js'
import { findPageFile } from '../../postgres/data-page/page-files.js'
import { PAGE_SIZE } from '../../postgres/data-page/page-layout.js'
import { type ContentFindings, PageTally } from './page-tally.js'
import type { ContentRules } from './decide-content-rules.js'
import type { ReplayedWal } from './replayed-wal.js'
import {
  findBlockListFault,
  incrementalFileBytes,
  incrementalHeaderBytes,
  parseIncrementalPreamble,
  readBlockNumbers,
} from '../../postgres/incremental-file.js'

/** Where an incremental file is read to, and what is known of it. */
interface IncrementalFile {
  readonly buffer: Buffer
  /** As the manifest says. */
  readonly size: number
  readonly segmentPages: number
  /** `undefined` when the pages' checksums are not to be checked. */
  readonly tally: PageTally | undefined
}

/** An incremental file: a header with a block list, and the pages that it names. */
class IncrementalContent implements FileContent {
  pages = 0
  readonly #file: IncrementalFile
  /** As much of it as was read, in whole pages. */
  #header: Buffer = Buffer.alloc(0)
  #blockCount: number | undefined
  /** Of the pages that follow, once the header is whole. */
  #blocks: Uint32Array | undefined
  #pagesTaken = 0
  #fault: string | undefined

  constructor(file: IncrementalFile) {
    this.#file = file
  }

  takePages(count: number): void {
    const { buffer } = this.#file
    for (let page = 0; page < count && this.#fault === undefined; page++) {
      const start = page * PAGE_SIZE
      if (this.#blocks === undefined) this.#takeHeader(buffer.subarray(start, start + PAGE_SIZE))
      else this.#takePage(start, this.#blocks)
    }
  }

  end(bytes: number): ContentFindings {
    // A file without pages ends before its first page would.
    if (this.#blockCount === undefined) this.#takePreamble(this.#file.buffer.subarray(0, bytes))
    const { tally } = this.#file
    return {
      badPages: tally?.badPages ?? [],
      furtherNewer: tally?.furtherNewer ?? 0,
      furtherOlder: tally?.furtherOlder ?? 0,
      partialPage: undefined,
      layoutFault: this.#fault,
    }
  }

  #takePreamble(bytes: Buffer): void {
    const { segmentPages, size } = this.#file
    const preamble = parseIncrementalPreamble(bytes, segmentPages)
    if ('fault' in preamble) {
      this.#fault ??= preamble.fault
      return
    }
    this.#blockCount = preamble.blockCount
    const expected = incrementalFileBytes(preamble.blockCount)
    if (size !== expected) {
      this.#fault = `has ${size} bytes, but should have ${expected} by its block count of ${preamble.blockCount}`
    }
  }

  /** Takes a page of the header; the last one makes the block list whole. */
  #takeHeader(bytes: Buffer): void {
    if (this.#blockCount === undefined) this.#takePreamble(bytes)
    if (this.#blockCount === undefined || this.#fault !== undefined) return
    this.#header = Buffer.concat([this.#header, bytes])
    if (this.#header.length < incrementalHeaderBytes(this.#blockCount)) return
    this.#blocks = readBlockNumbers(this.#header, this.#blockCount)
    this.#fault = findBlockListFault(this.#blocks, this.#file.segmentPages)
  }

  #takePage(start: number, blocks: Uint32Array): void {
    const block = blocks[this.#pagesTaken++]
    const { tally } = this.#file
    if (block === undefined || tally === undefined) return
    tally.check(start, 1, block)
    this.pages++
  }
}

/** The content of one file, as it is read: pages follow pages. */
interface FileContent {
  /**
   * Looks at whole pages in the buffer, which is used again afterwards.
   *
   * @param count - how many there are from the beginning of the buffer
   */
  readonly takePages: (count: number) => void
  /**
   * Looks at what follows the last whole page.
   *
   * @param bytes - how many there are at the beginning of the buffer
   */
  readonly end: (bytes: number) => ContentFindings
  /** How many pages had their checksum checked. */
  readonly pages: number
}

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
