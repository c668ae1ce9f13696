import { type PageChecker, pageChecksum } from './page-checksum.js'
import { PAGE_SIZE, pageOffsets } from './page-layout.js'
import { createSimdPageChecker } from './simd-page-checker.js'

/** The fastest checker of page checksums that runs here, with a buffer of so many bytes. */
export function createPageChecker(bufferBytes: number): PageChecker {
  try {
    return createSimdPageChecker(bufferBytes)
  } catch {
    // No WebAssembly (`--jitless`), or none with vectors.
    return createPlainPageChecker(bufferBytes)
  }
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
