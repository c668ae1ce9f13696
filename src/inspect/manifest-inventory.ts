import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describeSystemError } from '../files/system-error.js'
import type { Yielder } from '../files/yielder.js'
import { badManifestError } from '../manifest/manifest-error.js'
import type { ManifestSummary } from '../manifest/manifest-parser.js'
import { SortedKeys } from '../manifest/merge/sorted-keys.js'
import type { ManifestFile, WalRange } from '../manifest/model.js'
import { duplicatePathnameError, openManifest, scanManifest } from '../manifest/read-manifest.js'
import { type PlainEntry, toManifestFile } from '../manifest/server-layout.js'
import { FileTable } from '../verify/file-table/file-table.js'
import { maxRowsOf } from '../verify/file-table/file-rows.js'

/** A manifest's file as it is read back from an inventory. */
export type InventoryFile = Omit<ManifestFile, 'isPathEncoded'>

/**
 * All that a manifest says, in memory: some 80 bytes a file and its pathname, where objects would take 400. A file is known by
 * its row, in the order of the manifest.
 */
export interface ManifestInventory {
  /** Of the manifest's file. */
  readonly path: string
  /** Its bytes. */
  readonly size: number
  readonly summary: ManifestSummary
  readonly walRanges: readonly WalRange[]
  readonly table: FileTable
  readonly times: ModificationTimes
  /** The sum of the files' sizes. */
  readonly bytes: number
}

/**
 * Reads a manifest to its end, so that nothing is said of one that is cut or was changed.
 *
 * @param path - a manifest, also as a pipe, or a backup directory, plain or tar, with one in it
 * @throws {@link PbManifestError} `BAD_MANIFEST` (also for a pathname that stands twice), `IO` or `ABORTED`
 */
export async function readInventory(
  path: string,
  signal: AbortSignal | undefined,
): Promise<ManifestInventory> {
  const source = await openManifest(manifestOf(path), { mayBePipe: true, signal })
  const table = FileTable.of(source)
  const times = new ModificationTimes(maxRowsOf(source.size))
  const walRanges: WalRange[] = []
  let bytes = 0
  const count = (size: number): void => {
    bytes += size
    if (!Number.isSafeInteger(bytes)) throw badManifestError('the sizes of all files exceed 2^53 bytes')
  }
  const summary = await scanManifest(
    source,
    {
      file: (file) => {
        times.add(table.rows, file.lastModified)
        if (!table.add(file)) throw duplicatePathnameError(file.pathname)
        count(file.size)
      },
      plainFile: (entry) => {
        times.addPlain(table.rows, entry)
        if (!table.addPlain(entry)) throw duplicatePathnameError(toManifestFile(entry).pathname)
        count(entry.size)
      },
      walRange: (range) => walRanges.push(range),
    },
    signal && { signal },
  )
  return { path: source.path, size: source.size, summary, walRanges, table, times, bytes }
}

/** The manifest that is meant: of a directory, its own. */
function manifestOf(path: string): string {
  try {
    return statSync(path).isDirectory() ? join(path, 'backup_manifest') : path
  } catch (error) {
    // Who opens it says so.
    if (describeSystemError(error) === undefined) throw error
    return path
  }
}

export function fileOf({ table, times }: ManifestInventory, row: number): InventoryFile {
  const algorithm = table.algorithm(row)
  return {
    pathname: table.pathname(row),
    size: table.size(row),
    lastModified: times.text(row),
    checksum: algorithm && { algorithm, hex: table.checksum(row) },
  }
}

/** These rows in the order of the bytes of their pathnames, as `LC_ALL=C sort` has them. */
export async function inOrderOfPathnames(
  { table }: ManifestInventory,
  rows: Iterable<number>,
  yielder: Yielder,
): Promise<Uint32Array> {
  const keys = new SortedKeys(0)
  const numbers: number[] = []
  for (const row of rows) {
    const bytes = table.pathnameBytes(row)
    keys.add(bytes[0] as number, bytes, 1, bytes.length)
    numbers.push(row)
    if (yielder.isDue) await yielder.yield()
  }
  const order = await keys.inOrder(yielder)
  return order.map((index) => numbers[index] as number)
}

export function* allRows({ table }: ManifestInventory): Generator<number, void, undefined> {
  for (let row = 0; row < table.rows; row++) yield row
}

const SERVER_TIME = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/
const DIGITS = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/
/** Of what comes before ` GMT`. */
const TIME_LENGTH = 19

/** When each file was modified: as the digits of a server's text, which are a number that orders as the times do. */
class ModificationTimes {
  /** `20261122213422`; 0 when there is none, or another text. */
  readonly #digits: Float64Array
  readonly #others = new Map<number, string>()

  constructor(maxRows: number) {
    this.#digits = new Float64Array(maxRows)
  }

  add(row: number, text: string | undefined): void {
    const digits = text === undefined ? 0 : Number(SERVER_TIME.exec(text)?.slice(1).join('') ?? 0)
    this.#digits[row] = digits
    if (digits === 0 && text !== undefined) this.#others.set(row, text)
  }

  /** The same of an entry that was read where it stands. */
  addPlain(row: number, entry: PlainEntry): void {
    const { bytes, lastModifiedStart: start } = entry
    let digits = 0
    for (let at = start; at < start + TIME_LENGTH; at++) {
      const digit = (bytes[at] as number) - 0x30
      if (digit >= 0 && digit <= 9) digits = digits * 10 + digit
    }
    if (digits === 0 || !entry.hasServerTime) this.add(row, toManifestFile(entry).lastModified)
    else this.#digits[row] = digits
  }

  /** A number that is greater for a later time; 0 when none is known. */
  order(row: number): number {
    return this.#digits[row] ?? 0
  }

  /** As the manifest has it. */
  text(row: number): string | undefined {
    const digits = this.order(row)
    if (digits === 0) return this.#others.get(row)
    return String(digits).padStart(14, '0').replace(DIGITS, '$1-$2-$3 $4:$5:$6 GMT')
  }
}
