import { Yielder } from '../files/yielder.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import { type ChecksumAlgorithm, checksumAlgorithms } from '../manifest/checksum/checksum-algorithm.js'
import type { ManifestVersion, WalRange } from '../manifest/model.js'
import {
  type PageDirectory,
  readPageDirectory,
  readPageFileName,
  splitPathname,
} from '../postgres/data-page/page-files.js'
import type { RelationFork } from '../postgres/relation-file-name.js'
import { postgresVersions } from '../postgres/versions.js'
import { fileOf, type InventoryFile, type ManifestInventory, readInventory } from './manifest-inventory.js'

/** A number of files, and the sum of their sizes. */
export interface FileCount {
  readonly files: number
  readonly bytes: number
}

/** By their numbers. */
const relationForks: readonly RelationFork[] = ['main', 'fsm', 'vm', 'init']

/** What a manifest says, counted. */
export interface ManifestOverview {
  /** Of the manifest's file. */
  readonly path: string
  readonly version: ManifestVersion
  /** Which cluster it is; in version 2 only. */
  readonly systemIdentifier: bigint | undefined
  /** The major version of PostgreSQL, when the checksum of the file PG_VERSION is that of one that is known. */
  readonly majorVersion: number | undefined
  /** Newest timeline first. */
  readonly walRanges: readonly WalRange[]
  /** The manifest's own SHA-256, hexadecimal. */
  readonly checksum: string
  readonly files: number
  readonly bytes: number
  /** Of those, files with only the pages that have changed since an earlier backup: it is an incremental one when there are any. */
  readonly incrementalFiles: FileCount
  /** By the algorithm of their checksums; those that no file has are left out. */
  readonly checksumAlgorithms: readonly (FileCount & { readonly algorithm: ChecksumAlgorithm })[]
  /** `pg_default`, `pg_global`, and others by their OID, as far as they have files; what is in none is not counted. */
  readonly tablespaces: readonly (FileCount & { readonly tablespace: string })[]
  /** By OID, over all tablespaces. What all databases share is not counted. */
  readonly databases: readonly (FileCount & { readonly databaseOid: number })[]
  /** The files of relations. */
  readonly forks: readonly (FileCount & { readonly fork: RelationFork })[]
  /** All other files. */
  readonly notOfRelations: FileCount
  /** The oldest and the newest time of modification, `YYYY-MM-DD HH:MM:SS GMT`. */
  readonly oldestModification: string | undefined
  readonly newestModification: string | undefined
  /** Largest first. */
  readonly largestFiles: readonly InventoryFile[]
}

/** How a manifest is summarized. */
export interface SummarizeManifestOptions {
  /** How many of the largest files are named. Default 10. */
  readonly largest?: number
  readonly signal?: AbortSignal
}

/**
 * Counts what a manifest lists, by tablespace, database and fork. Needs some 80 bytes of memory a file and its pathname.
 *
 * @param path - a manifest, or a backup directory, plain or tar, with `backup_manifest` in it
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO` or `ABORTED`
 * @example
 * ```ts
 * import { summarizeManifest } from 'pbmanifest'
 *
 * const { files, bytes, databases } = await summarizeManifest('/backups/monday')
 * console.log(`${files} files, ${bytes} bytes`)
 * for (const { databaseOid, bytes } of databases) console.log(databaseOid, bytes)
 * ```
 */
export async function summarizeManifest(
  path: string,
  options: SummarizeManifestOptions = {},
): Promise<ManifestOverview> {
  const { largest = 10, signal } = options
  const inventory = await readInventory(path, signal)
  const { table, times, summary } = inventory
  const counts = new FileCounts()
  const largestRows = new LargestRows(largest)
  let oldest: number | undefined
  let newest: number | undefined
  const yielder = new Yielder(signal)
  for (let row = 0; row < table.rows; row++) {
    const size = table.size(row)
    counts.add(table.latin1Pathname(row), size, table.algorithm(row) ?? 'NONE')
    largestRows.add(row, size)
    const time = times.order(row)
    if (time !== 0) {
      if (oldest === undefined || time < times.order(oldest)) oldest = row
      if (newest === undefined || time > times.order(newest)) newest = row
    }
    if (yielder.isDue) await yielder.yield()
  }
  return {
    path: inventory.path,
    version: summary.version,
    systemIdentifier: summary.systemIdentifier,
    majorVersion: await findMajorVersion(inventory),
    walRanges: inventory.walRanges,
    checksum: summary.checksum,
    files: table.rows,
    bytes: inventory.bytes,
    ...counts.result(),
    oldestModification: oldest === undefined ? undefined : times.text(oldest),
    newestModification: newest === undefined ? undefined : times.text(newest),
    largestFiles: largestRows.rows.map((row) => fileOf(inventory, row)),
  }
}

/** The file holds the number and a line feed, so its checksum tells which. */
async function findMajorVersion({ table }: ManifestInventory): Promise<number | undefined> {
  const row = table.find('PG_VERSION')
  const algorithm = table.algorithm(row)
  if (row === -1 || algorithm === undefined) return undefined
  const hasher = await createFileHasher(algorithm)
  return postgresVersions
    .map(({ major }) => major)
    .find((major) => {
      const text = Buffer.from(`${major}\n`)
      hasher.reset()
      hasher.update(text)
      return table.size(row) === text.length && hasher.digest() === table.checksum(row)
    })
}

type Count = { files: number; bytes: number }

/** What the pathname of a directory says of all files in it. */
interface DirectoryName {
  readonly pathname: string
  readonly tablespace: string | undefined
  readonly database: number | undefined
  readonly pages: PageDirectory
}

function readDirectoryName(pathname: string): DirectoryName {
  return {
    pathname,
    tablespace: tablespaceOf(`${pathname}/`),
    database: databaseOf(`${pathname}/`),
    pages: readPageDirectory(pathname),
  }
}

class FileCounts {
  readonly #incremental = noFiles()
  readonly #notOfRelations = noFiles()
  readonly #algorithms = new Counts<ChecksumAlgorithm>()
  readonly #tablespaces = new Counts<string>()
  readonly #databases = new Counts<number>()
  readonly #forks = new Counts<RelationFork>()
  /** Of the file before: of most files, the directory is the same. */
  #directory = readDirectoryName('')

  add(pathname: string, size: number, algorithm: ChecksumAlgorithm): void {
    this.#algorithms.add(algorithm, size)
    const [directory, name] = splitPathname(pathname)
    if (directory !== this.#directory.pathname) this.#directory = readDirectoryName(directory)
    const { tablespace, database, pages } = this.#directory
    if (tablespace !== undefined) this.#tablespaces.add(tablespace, size)
    if (database !== undefined) this.#databases.add(database, size)
    const file = readPageFileName(pages, name)
    if (file?.relation === undefined) addTo(this.#notOfRelations, size)
    else this.#forks.add(file.relation.fork, size)
    if (file?.isIncremental === true) addTo(this.#incremental, size)
  }

  result(): Pick<
    ManifestOverview,
    'incrementalFiles' | 'checksumAlgorithms' | 'tablespaces' | 'databases' | 'forks' | 'notOfRelations'
  > {
    const tablespaces = this.#tablespaces.list().map(([tablespace, count]) => ({ tablespace, ...count }))
    const databases = this.#databases.list().map(([databaseOid, count]) => ({ databaseOid, ...count }))
    return {
      incrementalFiles: this.#incremental,
      checksumAlgorithms: checksumAlgorithms.flatMap((algorithm) =>
        this.#algorithms.of(algorithm, { algorithm }),
      ),
      tablespaces: tablespaces.toSorted(
        (one, other) => tablespaceOrder(one.tablespace) - tablespaceOrder(other.tablespace),
      ),
      databases: databases.toSorted((one, other) => one.databaseOid - other.databaseOid),
      forks: relationForks.flatMap((fork) => this.#forks.of(fork, { fork })),
      notOfRelations: this.#notOfRelations,
    }
  }
}

/** Counts by a key. */
class Counts<Key> {
  readonly #counts = new Map<Key, Count>()

  add(key: Key, size: number): void {
    const count = this.#counts.get(key) ?? noFiles()
    addTo(count, size)
    this.#counts.set(key, count)
  }

  list(): [Key, Count][] {
    return [...this.#counts]
  }

  /** The count of this key and what says so; nothing when there is none. */
  of<Name>(key: Key, name: Name): (Name & FileCount)[] {
    const count = this.#counts.get(key)
    return count === undefined ? [] : [{ ...name, ...count }]
  }
}

function noFiles(): Count {
  return { files: 0, bytes: 0 }
}

function addTo(count: Count, size: number): void {
  count.files++
  count.bytes += size
}

const DATABASE = /^(?:base|pg_tblspc\/[0-9]+\/PG_[^/]+)\/([1-9][0-9]{0,9})\//
const TABLESPACE = /^pg_tblspc\/([1-9][0-9]{0,9})\//

function databaseOf(pathname: string): number | undefined {
  const oid = DATABASE.exec(pathname)?.[1]
  return oid === undefined ? undefined : Number(oid)
}

function tablespaceOf(pathname: string): string | undefined {
  if (pathname.startsWith('base/')) return 'pg_default'
  if (pathname.startsWith('global/')) return 'pg_global'
  return TABLESPACE.exec(pathname)?.[1]
}

/** The two of every cluster come first. */
function tablespaceOrder(tablespace: string): number {
  return { pg_default: 0, pg_global: 1 }[tablespace] ?? Number(tablespace) + 2
}

/** The rows of the largest files, largest first; of two of the same size, the one that the manifest lists first. */
class LargestRows {
  readonly rows: number[] = []
  readonly #sizes: number[] = []
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  add(row: number, size: number): void {
    if (this.rows.length === this.#most && !(size > (this.#sizes.at(-1) ?? Infinity))) return
    let at = this.rows.length
    while (at > 0 && (this.#sizes[at - 1] as number) < size) at--
    this.rows.splice(at, 0, row)
    this.#sizes.splice(at, 0, size)
    if (this.rows.length > this.#most) {
      this.rows.pop()
      this.#sizes.pop()
    }
  }
}
