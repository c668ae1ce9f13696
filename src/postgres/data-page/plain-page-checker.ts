import type { PageChecker } from './page-checker.js'
import { pageChecksum } from './page-checksum.js'
import { PAGE_SIZE, pageOffsets } from './page-layout.js'

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
