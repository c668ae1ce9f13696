import type { Pathname } from '../files/pathname.js'
import { Yielder } from '../files/yielder.js'
import type { FileChecksum, ManifestVersion, WalRange } from '../manifest/model.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import {
  allRows,
  fileOf,
  inOrderOfPathnames,
  type ManifestInventory,
  readInventory,
} from './manifest-inventory.js'

/**
 * How a file of two manifests differs:
 *
 * - `added`: only the second has it
 * - `removed`: only the first has it
 * - `grown`, `shrunk`: the second has more bytes of it, or fewer
 * - `changed`: it has as many bytes, and another checksum
 * - `not-compared`: it has as many bytes, and no two checksums of one algorithm; or it is pg_control, which holds its own CRC-32C,
 *   so that the CRC-32C of all of it is that of any other
 */
export const fileDifferenceKinds = ['added', 'removed', 'grown', 'shrunk', 'changed', 'not-compared'] as const
/** One of {@link fileDifferenceKinds}. */
export type FileDifferenceKind = (typeof fileDifferenceKinds)[number]

/** A file that is not the same in two manifests. */
export interface FileDifference {
  readonly kind: FileDifferenceKind
  readonly pathname: Pathname
  /** In bytes, in the first manifest. */
  readonly oldSize: number | undefined
  /** In the second. */
  readonly newSize: number | undefined
  readonly oldChecksum: FileChecksum | undefined
  readonly newChecksum: FileChecksum | undefined
}

/** What one of two compared manifests says besides its files. */
export interface DiffedManifest {
  /** Of the manifest's file. */
  readonly path: string
  readonly version: ManifestVersion
  readonly systemIdentifier: bigint | undefined
  readonly walRanges: readonly WalRange[]
  /** The manifest's own SHA-256, hexadecimal. */
  readonly checksum: string
  readonly files: number
  readonly bytes: number
}

/** How two manifests differ. */
export interface ManifestDiff {
  /**
   * `same`: the manifests have the same files, header and WAL ranges. `not-compared`: no difference was found, but some files could
   * not be compared. Times of modification, and in which order files stand, make no difference.
   */
  readonly verdict: 'same' | 'different' | 'not-compared'
  readonly old: DiffedManifest
  readonly new: DiffedManifest
  /** Whether they are of one cluster; `undefined` where a manifest of version 1 does not say of which it is. */
  readonly isSameCluster: boolean | undefined
  /** How many files of each kind there are; the bytes are of the second manifest, for `removed` of the first. */
  readonly counts: Readonly<Record<FileDifferenceKind, { readonly files: number; readonly bytes: number }>>
  /** Files that are the same in both. */
  readonly sameFiles: number
  /** In the order of the bytes of their pathnames. Each is made when it is asked for, so that millions need no memory. */
  readonly differences: Iterable<FileDifference>
}

/**
 * Compares what two manifests list, by pathname, size and checksum. Needs some 90 bytes of memory a file and its pathname, of both.
 *
 * @param oldPath - a manifest, or a backup directory, plain or tar, with `backup_manifest` in it
 * @param newPath - the same
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO` or `ABORTED`
 * @example
 * ```ts
 * import { diffManifests } from 'pbmanifest'
 *
 * const diff = await diffManifests('/backups/monday', '/backups/tuesday')
 * for (const { kind, pathname } of diff.differences) console.log(kind, pathname)
 * ```
 */
export async function diffManifests(
  oldPath: string,
  newPath: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<ManifestDiff> {
  const before = await readInventory(oldPath, signal)
  const after = await readInventory(newPath, signal)
  const yielder = new Yielder(signal)
  const { removedOrOther, added, sameFiles, counts } = await compareFiles(before, after, yielder)
  const old = describe(before)
  const next = describe(after)
  const isSameCluster =
    old.systemIdentifier === undefined || next.systemIdentifier === undefined
      ? undefined
      : old.systemIdentifier === next.systemIdentifier
  const isSame = old.checksum === next.checksum
  return {
    verdict: isSame ? 'same' : verdictOf(hasSameFrame(old, next), counts),
    old,
    new: next,
    isSameCluster,
    counts: isSame ? noCounts() : counts,
    sameFiles: isSame ? old.files : sameFiles,
    differences: isSame
      ? []
      : new Differences(
          before,
          after,
          await inOrderOfPathnames(before, removedOrOther, yielder),
          await inOrderOfPathnames(after, added, yielder),
        ),
  }
}

type Counts = Record<FileDifferenceKind, { files: number; bytes: number }>

function noCounts(): Counts {
  return Object.fromEntries(fileDifferenceKinds.map((kind) => [kind, { files: 0, bytes: 0 }])) as Counts
}

interface ComparedFiles {
  /** Rows of the first manifest. */
  readonly removedOrOther: readonly number[]
  /** Rows of the second. */
  readonly added: readonly number[]
  readonly sameFiles: number
  readonly counts: Counts
}

async function compareFiles(
  before: ManifestInventory,
  after: ManifestInventory,
  yielder: Yielder,
): Promise<ComparedFiles> {
  const removedOrOther: number[] = []
  const added: number[] = []
  const counts = noCounts()
  let sameFiles = 0
  const count = (kind: FileDifferenceKind, bytes: number): void => {
    counts[kind].files++
    counts[kind].bytes += bytes
  }
  for (const row of allRows(before)) {
    const other = after.table.findBytes(before.table.pathnameBytes(row))
    const kind = compareRows(before, row, after, other)
    if (kind === undefined) sameFiles++
    else {
      removedOrOther.push(row)
      count(kind, other === -1 ? before.table.size(row) : after.table.size(other))
    }
    if (yielder.isDue) await yielder.yield()
  }
  for (const row of allRows(after)) {
    if (before.table.findBytes(after.table.pathnameBytes(row)) === -1) {
      added.push(row)
      count('added', after.table.size(row))
    }
    if (yielder.isDue) await yielder.yield()
  }
  return { removedOrOther, added, sameFiles, counts }
}

const controlFile = Buffer.from(CONTROL_FILE)

/** How a row of the first manifest differs from one of the second, or from none (-1); `undefined` when it does not. */
function compareRows(
  before: ManifestInventory,
  row: number,
  after: ManifestInventory,
  other: number,
): Exclude<FileDifferenceKind, 'added'> | undefined {
  if (other === -1) return 'removed'
  const growth = after.table.size(other) - before.table.size(row)
  if (growth !== 0) return growth > 0 ? 'grown' : 'shrunk'
  // Of no bytes, there is nothing to compare.
  if (before.table.size(row) === 0) return undefined
  const algorithm = before.table.algorithm(row)
  if (algorithm === 'CRC32C' && before.table.pathnameBytes(row).equals(controlFile)) return 'not-compared'
  if (algorithm === undefined || algorithm !== after.table.algorithm(other)) return 'not-compared'
  return before.table.checksum(row) === after.table.checksum(other) ? undefined : 'changed'
}

function describe({ path, summary, walRanges, table, bytes }: ManifestInventory): DiffedManifest {
  const { version, systemIdentifier, checksum } = summary
  return { path, version, systemIdentifier, walRanges, checksum, files: table.rows, bytes }
}

function hasSameFrame(old: DiffedManifest, next: DiffedManifest): boolean {
  return (
    old.version === next.version &&
    old.systemIdentifier === next.systemIdentifier &&
    old.walRanges.length === next.walRanges.length &&
    old.walRanges.every((range, index) => isSameRange(range, next.walRanges[index]))
  )
}

function isSameRange(one: WalRange, other: WalRange | undefined): boolean {
  return one.timeline === other?.timeline && one.startLsn === other.startLsn && one.endLsn === other.endLsn
}

function verdictOf(isSameFrame: boolean, counts: Counts): ManifestDiff['verdict'] {
  const isDifferent = fileDifferenceKinds.some((kind) => kind !== 'not-compared' && counts[kind].files > 0)
  if (isDifferent || !isSameFrame) return 'different'
  return counts['not-compared'].files > 0 ? 'not-compared' : 'same'
}

/** Rows of two manifests, each in order, merged. */
class Differences implements Iterable<FileDifference> {
  readonly #before: ManifestInventory
  readonly #after: ManifestInventory
  readonly #removedOrOther: Uint32Array
  readonly #added: Uint32Array

  constructor(
    before: ManifestInventory,
    after: ManifestInventory,
    removedOrOther: Uint32Array,
    added: Uint32Array,
  ) {
    this.#before = before
    this.#after = after
    this.#removedOrOther = removedOrOther
    this.#added = added
  }

  *[Symbol.iterator](): Generator<FileDifference, void, undefined> {
    const before = this.#before.table
    const after = this.#after.table
    let next = 0
    for (const row of this.#removedOrOther) {
      const pathname = before.pathnameBytes(row)
      for (; next < this.#added.length; next++) {
        const added = this.#added[next] as number
        if (after.pathnameBytes(added).compare(pathname) > 0) break
        yield this.#addition(added)
      }
      yield this.#other(row)
    }
    for (; next < this.#added.length; next++) yield this.#addition(this.#added[next] as number)
  }

  #addition(row: number): FileDifference {
    const { pathname, size, checksum } = fileOf(this.#after, row)
    return {
      kind: 'added',
      pathname,
      oldSize: undefined,
      newSize: size,
      oldChecksum: undefined,
      newChecksum: checksum,
    }
  }

  #other(row: number): FileDifference {
    const other = this.#after.table.findBytes(this.#before.table.pathnameBytes(row))
    const kind = compareRows(this.#before, row, this.#after, other)
    if (kind === undefined) throw new Error('a file that is the same in both is no difference')
    const old = fileOf(this.#before, row)
    const next = other === -1 ? undefined : fileOf(this.#after, other)
    return {
      kind,
      pathname: old.pathname,
      oldSize: old.size,
      newSize: next?.size,
      oldChecksum: old.checksum,
      newChecksum: next?.checksum,
    }
  }
}
