import { getHeapStatistics } from 'node:v8'
import { PbManifestError } from '../../errors.js'

/** Looking at the heap costs more than a row. A row is short: a pathname has 4,096 bytes at most. */
const ROWS_BETWEEN_LOOKS = 4096

/**
 * Of what the heap may grow to: a list is sorted later, and planned with. At the end of the heap V8 ends the process without a
 * word, and nothing is cleaned up.
 */
const MOST_OF_HEAP = 0.5

/**
 * Counts the rows of a list that is kept whole, and refuses one that memory cannot hold: who sends it may never end.
 * The limit is that of the process (`node --max-old-space-size`).
 */
export class KeptRows {
  #rows = 0

  /** @throws {@link PbManifestError} `SERVER` */
  add(): void {
    this.#rows++
    if (this.#rows % ROWS_BETWEEN_LOOKS !== 0) return
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics()
    if (used < most * MOST_OF_HEAP) return
    throw new PbManifestError('SERVER', `a list does not fit into memory: ${this.#rows} rows, and no end`, {
      hint: 'If there are that many files, let the program have more memory (NODE_OPTIONS=--max-old-space-size=MB).',
    })
  }
}
