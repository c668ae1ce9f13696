import { PAGE_SIZE } from '../../postgres/data-page/page-layout.js'
import {
  findBlockListFault,
  incrementalFileBytes,
  incrementalHeaderBytes,
  parseIncrementalPreamble,
  readBlockNumbers,
} from '../../postgres/incremental-file.js'
import type { ContentFindings } from './content-findings.js'
import type { FileContent } from './file-content.js'
import type { PageTally } from './page-tally.js'

/** Where an incremental file is read to, and what is known of it. */
export interface IncrementalFile {
  readonly buffer: Buffer
  /** As the manifest says. */
  readonly size: number
  readonly segmentPages: number
  /** `undefined` when the pages' checksums are not to be checked. */
  readonly tally: PageTally | undefined
}

/** An incremental file: a header with a block list, and the pages that it names. */
export class IncrementalContent implements FileContent {
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
