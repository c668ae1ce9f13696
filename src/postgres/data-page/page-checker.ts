import { pageChecksum } from './page-checksum.js'
import { PAGE_SIZE, pageOffsets } from './page-layout.js'

/** Finds pages whose checksum is not what it should be, in a buffer of its own. */
export interface PageChecker {
  /** What computes the checksums. */
  readonly engine: 'wasm-simd' | 'javascript'
  /** Where the pages have to be: read a file into it. */
  readonly buffer: Buffer
  /**
   * Checks pages that follow each other, up to the first whose stored checksum is not the computed one. New pages
   * (`pd_upper` is 0) have none, and are passed over.
   *
   * @param start - where in the buffer the first page begins
   * @param count - how many whole pages follow from there
   * @param block - the number of the first page, counted from the beginning of the relation's fork
   * @returns how many pages come before the wrong one, or -1
   */
  readonly findMismatch: (start: number, count: number, block: number) => number
}

/** A {@link PageChecker} without WebAssembly. */
export function createPlainPageChecker(bufferBytes: number): PageChecker {
  const buffer = Buffer.allocUnsafeSlow(bufferBytes)
  return {
    engine: 'javascript',
    buffer,
    findMismatch: (start, count, block) => {
      for (let index = 0; index < count; index++) {
        const page = start + index * PAGE_SIZE
        const isNew = buffer.readUInt16LE(page + pageOffsets.upper) === 0
        if (isNew) continue
        const stored = buffer.readUInt16LE(page + pageOffsets.checksum)
        if (stored !== pageChecksum(buffer, page, block + index)) return index
      }
      return -1
    },
  }
}
