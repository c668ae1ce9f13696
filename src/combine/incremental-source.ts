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

/** Goes through the pages of an incremental file, in their order. */
export class IncrementalPages {
  readonly #source: IncrementalSource
  #next = 0

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

  /** Reads so many. */
  read(count: number, buffer: Buffer): void {
    const { input, headerBytes } = this.#source
    input.readExactly(buffer.subarray(0, count * PAGE_SIZE), headerBytes + this.#next * PAGE_SIZE)
    this.#next += count
  }

  /** Passes over so many, where nobody needs them. */
  skip(count: number): void {
    this.#next += count
  }
}
