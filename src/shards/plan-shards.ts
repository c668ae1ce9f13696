import type { Pathname } from '../files/pathname.js'
import { type ArchiveContents, archivePrefixOf, pathnamePrefix } from '../source/tar/archive.js'

/** One of the shards of a backup. */
export interface Shard {
  /** From 1. */
  readonly shard: number
  /** How many there are: 1 to 1000. */
  readonly shards: number
}

/** A merge has a file of each open. */
export const MAX_SHARDS = 1000

/** The files of a manifest, in its order. */
export interface PlannedFiles {
  readonly rows: number
  readonly size: (row: number) => number
  readonly pathname: (row: number) => Pathname
}

/** A file costs its bytes, and as much as these for being opened. */
const BYTES_PER_FILE = 4096

/**
 * The files of a shard: a piece of the manifest, from row `first` to before `end`. Of the manifest's bytes each shard has its
 * part; a file is never divided, so a shard may have more by one file, the largest.
 *
 * It follows from the sizes and their order in the manifest, and nothing else.
 */
export function planRows(
  { rows, size }: PlannedFiles,
  { shard, shards }: Shard,
): { first: number; end: number } {
  let total = 0
  for (let row = 0; row < rows; row++) total += size(row) + BYTES_PER_FILE
  let [first, end] = [rows, rows]
  let before = 0
  for (let row = 0; row < rows; row++) {
    const cost = size(row) + BYTES_PER_FILE
    // Where the middle of the file lies decides.
    const at = Math.min(shards, Math.floor(((before + cost / 2) / total) * shards) + 1)
    before += cost
    if (at >= shard && first === rows) first = row
    if (at <= shard) continue
    end = row
    break
  }
  return { first: Math.min(first, end), end }
}

/** A directory of the manifest's files. */
interface PlannedDirectory {
  /** Whether its first file is the shard's, and so it itself. */
  readonly isOwn: boolean
  /** Whether any file in it or below is. */
  hasOwn: boolean
}

/**
 * Which directories a shard looks into, and which are its own: those whose first file, in the order of the manifest, it has,
 * however far below. Of directories that no file of the manifest is in, the nearest one above decides.
 */
export class PlannedDirectories {
  readonly #directories = new Map<Pathname, PlannedDirectory>()
  readonly #isFirst: boolean

  constructor(
    { rows, pathname }: PlannedFiles,
    own: { readonly first: number; readonly end: number },
    isFirst: boolean,
  ) {
    this.#isFirst = isFirst
    let last: Pathname | undefined
    let isLastOwn = false
    for (let row = 0; row < rows; row++) {
      const isOwn = row >= own.first && row < own.end
      const directory = directoryOf(pathname(row))
      // Most files are where the one before them is.
      if (directory === last && isOwn === isLastOwn) continue
      this.#add(directory, isOwn)
      last = directory
      isLastOwn = isOwn
    }
  }

  owns(pathname: Pathname): boolean {
    for (let directory = pathname; ; directory = directoryOf(directory)) {
      const planned = this.#directories.get(directory)
      if (planned !== undefined) return planned.isOwn
      // A manifest without files leaves all to the first shard.
      if (directory === '') return this.#isFirst
    }
  }

  enters(pathname: Pathname): boolean {
    return this.#directories.get(pathname)?.hasOwn ?? this.owns(pathname)
  }

  #add(pathname: Pathname, isOwn: boolean): void {
    for (let directory = pathname; ; directory = directoryOf(directory)) {
      const planned = this.#directories.get(directory)
      if (planned === undefined) this.#directories.set(directory, { isOwn, hasOwn: isOwn })
      else if (isOwn) planned.hasOwn = true
      if (directory === '') return
    }
  }
}

function directoryOf(pathname: Pathname): Pathname {
  return pathname.slice(0, Math.max(pathname.lastIndexOf('/'), 0))
}

/**
 * The shard of each archive of a backup in tar format: archives of tablespaces by the bytes that the manifest has of them, the
 * largest first, each to the shard that has the fewest. The first shard begins with the data directory, and has all archives
 * besides of which the manifest says nothing, and so the WAL.
 */
export function planArchives(
  { rows, size, pathname }: PlannedFiles,
  shards: number,
): (contents: ArchiveContents) => number {
  const bytes = new Map<string, number>([['', 0]])
  for (let row = 0; row < rows; row++) {
    const prefix = archivePrefixOf(pathname(row))
    bytes.set(prefix, (bytes.get(prefix) ?? 0) + size(row) + BYTES_PER_FILE)
  }
  const loads = Array.from({ length: shards }, () => 0)
  loads[0] = bytes.get('') ?? 0
  bytes.delete('')
  const byPrefix = new Map<string, number>()
  const largestFirst = [...bytes].toSorted(
    ([left, most], [right, more]) => more - most || (left < right ? -1 : 1),
  )
  for (const [prefix, cost] of largestFirst) {
    const least = loads.indexOf(Math.min(...loads))
    loads[least] = (loads[least] ?? 0) + cost
    byPrefix.set(prefix, least + 1)
  }
  return (contents) => byPrefix.get(pathnamePrefix(contents)) ?? 1
}
