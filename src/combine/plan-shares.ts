import { decodePathname, encodePathname, type Pathname } from '../files/pathname.js'

/** A file of the result, by its name in the last backup, and what it costs: bytes to read. */
export interface ResultFile {
  readonly pathname: Pathname
  readonly cost: number
}

/** What a file costs besides its bytes. */
const COST_OF_FILE = 64 * 1024

/** So many shares for each thread: the last ones to be done should be small. */
const SHARES_PER_THREAD = 16

/** More would be more fragments than anybody needs. */
const MOST_SHARES = 512

/** The shares of all threads, in memory that they share. */
export interface PackedShares {
  /** Shares, the largest first. */
  readonly order: readonly number[]
  /** Of each share, the place of its first file; one more for the end. */
  readonly starts: readonly number[]
  /** All pathnames, one after the other. */
  readonly names: SharedArrayBuffer
  /** Float64: where each pathname ends. */
  readonly nameEnds: SharedArrayBuffer
}

/**
 * Cuts the files into shares without changing their order: each becomes a fragment, and the fragments together, in their order, the manifest.
 *
 * @returns the place of each share's first file, and of the end
 */
export function cutShares(files: readonly ResultFile[], threads: number): number[] {
  const total = files.reduce((sum, { cost }) => sum + cost + COST_OF_FILE, 0)
  const wanted = total / Math.min(SHARES_PER_THREAD * threads, MOST_SHARES)
  const starts = [0]
  let share = 0
  for (const [place, { cost }] of files.entries()) {
    const next = cost + COST_OF_FILE
    // A large file begins a share of its own rather than make one that is too large.
    if (share > 0 && share + next / 2 > wanted) {
      starts.push(place)
      share = 0
    }
    share += next
  }
  if (files.length > 0) starts.push(files.length)
  return starts
}

/** Without an object for each file. */
export function packShares(files: readonly ResultFile[], threads: number): PackedShares {
  const starts = cutShares(files, threads)
  const costs = starts.slice(1).map((end, share) => {
    let cost = 0
    for (let place = starts[share] ?? 0; place < end; place++) cost += files[place]?.cost ?? 0
    return { share, cost }
  })
  const encoded = files.map(({ pathname }) => encodePathname(pathname))
  const names = new SharedArrayBuffer(encoded.reduce((sum, { length }) => sum + length, 0))
  const nameEnds = new SharedArrayBuffer(files.length * Float64Array.BYTES_PER_ELEMENT)
  const ends = new Float64Array(nameEnds)
  const bytes = Buffer.from(names)
  let end = 0
  for (const [place, name] of encoded.entries()) {
    end += name.copy(bytes, end)
    ends[place] = end
  }
  const order = costs.toSorted((left, right) => right.cost - left.cost).map(({ share }) => share)
  return { order, starts, names, nameEnds }
}

/** The files of a share, and the place of each among all. */
export function* shareOf(
  { starts, names, nameEnds }: PackedShares,
  share: number,
): Generator<{ readonly pathname: Pathname; readonly place: number }, void, undefined> {
  const bytes = Buffer.from(names)
  const ends = new Float64Array(nameEnds)
  for (let place = starts[share] ?? 0; place < (starts[share + 1] ?? 0); place++) {
    yield { pathname: decodePathname(bytes.subarray(ends[place - 1] ?? 0, ends[place])), place }
  }
}
