import { PAGE_SIZE } from '../postgres/data-page/page-layout.js'
import {
  findBlockListFault,
  incrementalFileBytes,
  incrementalHeaderBytes,
  parseIncrementalPreamble,
  readBlockNumbers,
} from '../postgres/incremental-file.js'
import type { InputFile } from './input-file.js'
import type { SourceLayout } from './plan-reconstruction.js'

const PREAMBLE_BYTES = 12

/** An incremental file of a backup, of which the header is read. */
export interface IncrementalSource {
  readonly input: InputFile
  readonly layout: Extract<SourceLayout, { readonly kind: 'incremental' }>
  /** Bytes before its first page. */
  readonly headerBytes: number
}

/**
 * Reads the header of an incremental file.
 *
 * @throws {@link InputFault} when it does not have its layout, or {@link PbManifestError} `IO`
 */
export function readIncrementalHeader(input: InputFile, segmentPages: number): IncrementalSource {
  const first = Buffer.alloc(PREAMBLE_BYTES)
  const bytes = input.read(first, 0)
  const preamble = parseIncrementalPreamble(first.subarray(0, bytes), segmentPages)
  if ('fault' in preamble) throw input.layoutFault(preamble.fault)
  const { blockCount, truncationBlockLength } = preamble
  const expected = incrementalFileBytes(blockCount)
  if (input.size !== expected) {
    throw input.layoutFault(
      `has ${input.size} bytes, but should have ${expected} by its block count of ${blockCount}`,
    )
  }
  const headerBytes = incrementalHeaderBytes(blockCount)
  const header = Buffer.alloc(headerBytes)
  first.copy(header)
  if (headerBytes > PREAMBLE_BYTES) input.readExactly(header.subarray(PREAMBLE_BYTES), PREAMBLE_BYTES)
  const blocks = readBlockNumbers(header, blockCount)
  const fault = findBlockListFault(blocks, segmentPages)
  if (fault !== undefined) throw input.layoutFault(fault)
  return { input, layout: { kind: 'incremental', blocks, truncationBlockLength }, headerBytes }
}

/** As many as a piece of the result can have. */
const WINDOW_PAGES = 16

/**
 * Goes through the pages of an incremental file, in their order. Where all of it is read anyway, pages are read in larger pieces than they are asked
 * for: most pieces of the result take one or two.
 */
export class IncrementalPages {
  readonly #source: IncrementalSource
  /** The next page that was not given or passed over. */
  #next = 0
  /** Pages from `#start` up to `#end`. */
  #window = Buffer.alloc(0)
  #start = 0
  #end = 0

  constructor(source: IncrementalSource) {
    this.#source = source
  }

  /** The numbers of the pages that come next and are before this block. */
  upTo(block: number): Uint32Array {
    const { blocks } = this.#source.layout
    let end = this.#next
    while (end < blocks.length && (blocks[end] as number) < block) end++
    return blocks.subarray(this.#next, end)
  }

  /** Reads so many. @returns their bytes, until it is called again */
  read(count: number): Buffer {
    if (this.#next + count > this.#end) this.#fill(count)
    const from = (this.#next - this.#start) * PAGE_SIZE
    this.#next += count
    return this.#window.subarray(from, from + count * PAGE_SIZE)
  }

  /** Passes over so many, where nobody needs them. */
  skip(count: number): void {
    this.#next += count
  }

  #fill(count: number): void {
    const { input, layout, headerBytes } = this.#source
    const left = layout.blocks.length - this.#next
    const wanted = Math.min(left, input.isCompared ? Math.max(count, WINDOW_PAGES) : count)
    const bytes = wanted * PAGE_SIZE
    const old = this.#window
    if (old.length < bytes) this.#window = Buffer.allocUnsafeSlow(bytes)
    const kept = Math.max(this.#end - this.#next, 0) * PAGE_SIZE
    if (kept > 0)
      old.copy(this.#window, 0, (this.#next - this.#start) * PAGE_SIZE, (this.#end - this.#start) * PAGE_SIZE)
    input.readExactly(this.#window.subarray(kept, bytes), headerBytes + this.#next * PAGE_SIZE + kept)
    this.#start = this.#next
    this.#end = this.#next + wanted
  }
}
