import { encodePathname, decodePathname } from '../files/pathname.js'
import type { Yielder } from '../files/yielder.js'
import type { PlannedFile } from '../manifest/fragment/fragment-files.js'
import { SortedKeys } from '../manifest/merge/sorted-keys.js'

/** The shares of all threads, in memory that they share. */
export interface PlannedShares {
  /** Of each share, the number of its first file, and of the last one also that of what comes behind. */
  readonly starts: readonly number[]
  /** All pathnames, one after the other. */
  readonly names: SharedArrayBuffer
  /** Uint32: where each pathname ends. */
  readonly nameEnds: SharedArrayBuffer
  /** Float64 */
  readonly sizes: SharedArrayBuffer
}

/** All files that are to be recorded: some 120 bytes each while they are divided, and no object. */
export class PlannedFiles {
  readonly #names = new SortedKeys(1024)
  #sizes = new Float64Array(1024)
  #bytes = 0

  get count(): number {
    return this.#names.count
  }

  /** The sum of all sizes. */
  get bytes(): number {
    return this.#bytes
  }

  add({ pathname, size }: PlannedFile): void {
    const row = this.count
    const name = encodePathname(pathname)
    this.#names.add(name[0] as number, name, 1, name.length)
    if (row === this.#sizes.length) {
      const sizes = this.#sizes
      this.#sizes = new Float64Array(2 * sizes.length)
      this.#sizes.set(sizes)
    }
    this.#sizes[row] = size
    this.#bytes += size
  }

  /**
   * Divides them among workers so that each has about as many bytes: the largest file first, each to the share that is smallest so far.
   *
   * @returns one share for each worker, in the order of the pathnames
   */
  async divide(workers: number, yielder: Yielder): Promise<PlannedShares> {
    const order = await this.#names.inOrder(yielder)
    const shares = this.#shareOut(order, workers)
    const counts = Array.from({ length: workers }, () => 0)
    for (const share of shares) counts[share] = (counts[share] ?? 0) + 1
    const starts = [0]
    for (const count of counts) starts.push((starts.at(-1) ?? 0) + count)
    const next = starts.slice()
    const rows = new Uint32Array(this.count)
    for (const row of order) {
      const share = shares[row] ?? 0
      const place = next[share] ?? 0
      rows[place] = row
      next[share] = place + 1
    }
    return { starts, ...this.#pack(rows) }
  }

  /** The share of each file. */
  #shareOut(order: Uint32Array, workers: number): Uint32Array {
    const sizes = this.#sizes
    const shares = new Uint32Array(this.count)
    if (workers === 1) return shares
    const largestFirst = order.toSorted((one, other) => (sizes[other] ?? 0) - (sizes[one] ?? 0))
    const loads = new Float64Array(workers)
    for (const row of largestFirst) {
      let least = 0
      for (let share = 1; share < workers; share++)
        if ((loads[share] ?? 0) < (loads[least] ?? 0)) least = share
      shares[row] = least
      // A file costs something even when it is empty; so empty ones do not all go to one worker.
      loads[least] = (loads[least] ?? 0) + (sizes[row] ?? 0) + 1
    }
    return shares
  }

  #pack(rows: Uint32Array): Omit<PlannedShares, 'starts'> {
    const names = this.#names
    const packed = {
      names: new SharedArrayBuffer(names.bytes),
      nameEnds: new SharedArrayBuffer(rows.length * Uint32Array.BYTES_PER_ELEMENT),
      sizes: new SharedArrayBuffer(rows.length * Float64Array.BYTES_PER_ELEMENT),
    }
    const bytes = Buffer.from(packed.names)
    const ends = new Uint32Array(packed.nameEnds)
    const sizes = new Float64Array(packed.sizes)
    let end = 0
    for (const [place, row] of rows.entries()) {
      end += names.copy(row, bytes, end)
      ends[place] = end
      sizes[place] = this.#sizes[row] ?? 0
    }
    return packed
  }
}

/** The files of a share, one by one. */
export function* filesOfShare(
  { starts, ...packed }: PlannedShares,
  share: number,
): Generator<PlannedFile, void, undefined> {
  const bytes = Buffer.from(packed.names)
  const ends = new Uint32Array(packed.nameEnds)
  const sizes = new Float64Array(packed.sizes)
  for (let index = starts[share] ?? 0; index < (starts[share + 1] ?? 0); index++) {
    const name = bytes.subarray(ends[index - 1] ?? 0, ends[index])
    yield { pathname: decodePathname(name), size: sizes[index] ?? 0 }
  }
}
