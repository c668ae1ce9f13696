import { encodePathname, type Pathname } from '../../files/pathname.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { FileFinder } from '../file-table/pathname-index.js'

/** What is known of the bytes of a file. */
export interface KnownContent {
  readonly size: number
  /** Its checksum by this algorithm, if that was computed. */
  readonly checksum: (algorithm: RealChecksumAlgorithm) => string | undefined
}

/** Of files that the manifest does not have, or has otherwise, so many are remembered. */
const MAX_OTHERS = 100_000

const NOT_MET = 0
const MET = 1
/** Met, and as the manifest says. */
const GOOD = 2

/**
 * The files of an archive that have passed, of which a hard link may be another name.
 *
 * Of a file that is as the manifest says a byte is enough; of others the checksums are kept.
 */
export class SeenMembers {
  readonly #files: FileFinder
  readonly #states: Uint8Array
  readonly #others = new Map<Pathname, KnownContent>()

  constructor(files: FileFinder, rows: number) {
    this.#files = files
    this.#states = new Uint8Array(rows)
  }

  /** Another archive begins. */
  clear(): void {
    this.#states.fill(NOT_MET)
    this.#others.clear()
  }

  /**
   * Says that there is a member for this row, good or not.
   *
   * @returns whether there was one before
   */
  meet(row: number): boolean {
    const wasMet = this.#states[row] !== NOT_MET
    this.#states[row] = MET
    return wasMet
  }

  /** Says that the member for this row is what the manifest says. */
  addGood(row: number): void {
    this.#states[row] = GOOD
  }

  /** Remembers a file that the manifest does not have, or has otherwise. */
  addOther(pathname: Pathname, content: KnownContent): void {
    if (this.#others.size < MAX_OTHERS) this.#others.set(pathname, content)
  }

  /** The content of the file that has this name by now; `undefined` when there is none, or it was not looked at. */
  find(pathname: Pathname): KnownContent | undefined {
    const files = this.#files
    const row = files.find(encodePathname(pathname))
    if (this.#states[row] !== GOOD) return this.#others.get(pathname)
    return {
      size: files.size(row),
      checksum: (algorithm) => (files.algorithm(row) === algorithm ? files.checksum(row) : undefined),
    }
  }
}
