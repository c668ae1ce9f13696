import type { Pathname } from '../files/pathname.js'
import { encodePathname } from '../files/pathname.js'
import { Yielder } from '../files/yielder.js'
import {
  allRows,
  fileOf,
  inOrderOfPathnames,
  type InventoryFile,
  type ManifestInventory,
  readInventory,
} from './manifest-inventory.js'

/** In which order files are listed: `none` is that of the manifest. */
export const fileOrders = ['name', 'size', 'time', 'none'] as const
/** One of {@link fileOrders}. */
export type FileOrder = (typeof fileOrders)[number]

/** Which files are listed, and in which order. */
export interface ListManifestFilesOptions {
  /** Only these files, and what is below these directories; default: all. */
  readonly pathnames?: readonly Pathname[]
  /** Default `name`: by the bytes of their pathnames. `size`: largest first. `time`: newest first. */
  readonly order?: FileOrder
  /** The other way round. */
  readonly isReversed?: boolean
  readonly signal?: AbortSignal
}

/** The files of a manifest. Each is made when it is asked for, so that millions need no memory. */
export interface ManifestFileList extends Iterable<InventoryFile> {
  /** How many there are. */
  readonly count: number
  /** The bytes of the largest; 0 when there is none. */
  readonly largest: number
  /** Those of the pathnames that were asked for and that the manifest has nothing of. */
  readonly notFound: readonly Pathname[]
}

/**
 * Lists the files of a manifest when all of it was read and found whole. Needs some 90 bytes of memory a file and its pathname.
 *
 * @param path - a manifest, or a backup directory, plain or tar, with `backup_manifest` in it
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO` or `ABORTED`
 * @example
 * ```ts
 * import { listManifestFiles } from 'pbmanifest'
 *
 * for (const { pathname, size } of await listManifestFiles('/backups/monday', { order: 'size' })) {
 *   console.log(size, pathname)
 * }
 * ```
 */
export async function listManifestFiles(
  path: string,
  options: ListManifestFilesOptions = {},
): Promise<ManifestFileList> {
  const { order = 'name', signal } = options
  const inventory = await readInventory(path, signal)
  const selection = new Selection(options.pathnames ?? [])
  const rows: number[] = []
  const yielder = new Yielder(signal)
  for (const row of allRows(inventory)) {
    if (selection.has(inventory.table.pathnameBytes(row))) rows.push(row)
    if (yielder.isDue) await yielder.yield()
  }
  const sorted = await sortRows(inventory, rows, order, yielder)
  if (options.isReversed === true) sorted.reverse()
  return {
    count: sorted.length,
    largest: sorted.reduce((largest, row) => Math.max(largest, inventory.table.size(row)), 0),
    notFound: selection.notFound,
    *[Symbol.iterator]() {
      for (const row of sorted) yield fileOf(inventory, row)
    },
  }
}

/** Sorts as `ls` does: what is equal stays in the order of names. */
async function sortRows(
  inventory: ManifestInventory,
  rows: readonly number[],
  order: FileOrder,
  yielder: Yielder,
): Promise<Uint32Array> {
  if (order === 'none') return Uint32Array.from(rows)
  const byName = await inOrderOfPathnames(inventory, rows, yielder)
  switch (order) {
    case 'name':
      return byName
    case 'size':
      return byName.toSorted(descending((row) => inventory.table.size(row)))
    case 'time':
      return byName.toSorted(descending((row) => inventory.times.order(row)))
    default:
      return order satisfies never
  }
}

function descending(keyOf: (row: number) => number): (one: number, other: number) => number {
  return (one, other) => keyOf(other) - keyOf(one)
}

/** Files, and whatever is below directories. */
class Selection {
  readonly #wanted: readonly { readonly pathname: Pathname; readonly bytes: Buffer }[]
  readonly #found = new Set<Pathname>()

  constructor(pathnames: readonly Pathname[]) {
    this.#wanted = pathnames.map((pathname) => ({ pathname, bytes: encodePathname(withoutSlash(pathname)) }))
  }

  has(bytes: Buffer): boolean {
    if (this.#wanted.length === 0) return true
    let isWanted = false
    for (const { pathname, bytes: wanted } of this.#wanted) {
      if (!isAtOrBelow(bytes, wanted)) continue
      this.#found.add(pathname)
      isWanted = true
    }
    return isWanted
  }

  get notFound(): readonly Pathname[] {
    return this.#wanted.map(({ pathname }) => pathname).filter((pathname) => !this.#found.has(pathname))
  }
}

function withoutSlash(pathname: Pathname): Pathname {
  return pathname.endsWith('/') ? pathname.slice(0, -1) : pathname
}

const SLASH = 0x2f

function isAtOrBelow(pathname: Buffer, wanted: Buffer): boolean {
  const end = wanted.length
  if (pathname.length < end || (pathname.length > end && pathname[end] !== SLASH)) return false
  return pathname.subarray(0, end).equals(wanted)
}
