import { createPlainPageChecker, type PageChecker } from './page-checker.js'
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
