import type { Pathname } from '../../files/pathname.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'
import type { StoreClient } from '../../source/store/store-client.js'
import type { StoreOptions } from '../../source/store/store-settings.js'
import type { ContentDecision } from '../content/decide-content-rules.js'
import { PagesInQuestion } from '../content/pages-in-question.js'
import type { FileTable } from '../file-table/file-table.js'
import { checkNeededDirectories } from '../needed-directories.js'
import type { VerifyOptions } from '../options.js'
import { ChecksumCheck } from '../plain/checksum-check.js'
import { isIntact } from '../plain/checksum-messages.js'
import { scanDirectory } from '../plain/scan-directory.js'
import { placesInQueue } from '../plain/share-of-scan.js'
import { fileProblem } from '../problems.js'
import type { NotChecked, VerifyReport } from '../report.js'
import type { ProblemPlace } from '../share.js'
import { type FileTotals, noTotals, type VerifiedBackup } from '../verified-backup.js'
import type { VerifyContext } from '../verify-context.js'
import type { OpenedWal } from '../wal/wal-source.js'
import type { ListedTree } from './listed-tree.js'
import type { SmallObjects } from './small-objects.js'
import { storedWal } from './stored-wal.js'

/** Before all that a scan finds, in the order of the listing. */
const placeOfOddKeys: ProblemPlace = { phase: 'scan', key: [] }

/** So many objects are asked for at a time by all threads, as far as each of them does not ask for too few or too many. */
const LANES = 512
const FEWEST_LANES = 64

const thread = new URL('object-worker.js', import.meta.url)

/** What a {@link StoredBackup} is made of. */
export interface StoredBackupOptions {
  readonly client: StoreClient
  readonly store: StoreOptions
  /** Whether checksums are compared that the store keeps, where there are any. */
  readonly usesStoredChecksums: boolean
  readonly onRetry: ((words: string) => void) | undefined
  readonly tree: ListedTree
  readonly small: SmallObjects
  readonly options: VerifyOptions
  readonly jobs: number
  readonly content: ContentDecision
  readonly table: FileTable
  readonly manifestBytes: number
}

/** A backup in plain format in an object store, each file an object. They are read when the whole manifest is known. */
export class StoredBackup implements VerifiedBackup {
  readonly format = 'plain'
  readonly isPart = false
  readonly #plan: StoredBackupOptions
  /** `undefined` when files are not to be read. */
  readonly #checksums: ChecksumCheck | undefined
  readonly #pieces: Parameters<VerifiedBackup['expect']>[] = []
  /** Those that are good by the checksum that the store keeps, and when the first of them was written. */
  readonly #goodByStore = { files: 0, bytes: 0, oldest: Infinity }
  /** Files that were not read, because their checksum is known. */
  readonly #known = { filesChecked: 0, bytesChecked: 0 }

  /** Starts a thread; `close` ends all. */
  constructor(plan: StoredBackupOptions) {
    this.#plan = plan
    const { client, store, tree, options, jobs, content, table, manifestBytes, usesStoredChecksums } = plan
    if (options.skipChecksums === true) return
    this.#checksums = new ChecksumCheck(
      {
        directory: client.address.shown,
        jobs,
        maxRate: options.maxRate,
        waitingJobs: jobs,
        signal: options.signal,
        onProgress: options.onProgress,
        content: content.rules,
        evidence: undefined,
        thread,
        objects: {
          address: client.address,
          options: store,
          etags: new Map([...tree.files].map(([pathname, { etag }]) => [pathname, etag])),
          lanes: Math.max(FEWEST_LANES, Math.ceil(LANES / jobs)),
          listedChecksums: usesStoredChecksums ? listedChecksums(tree) : undefined,
        },
        onRetry: plan.onRetry,
        onGoodByStore: (row) => this.#countGoodByStore(row),
      },
      table,
      manifestBytes,
    )
  }

  get totals(): FileTotals {
    const totals = this.#checksums?.totals ?? noTotals
    return {
      ...totals,
      filesChecked: totals.filesChecked + this.#known.filesChecked,
      bytesChecked: totals.bytesChecked + this.#known.bytesChecked,
    }
  }

  get pages(): PagesInQuestion {
    return this.#checksums?.pages ?? new PagesInQuestion()
  }

  get sample(): VerifyReport['sample'] {
    if (!this.#plan.usesStoredChecksums) return undefined
    const { files, bytes, oldest } = this.#goodByStore
    const stored = { files, bytes, oldest: Number.isFinite(oldest) ? new Date(oldest).toISOString() : null }
    return {
      rested: { files: 0, bytes: 0, readSince: null },
      left: { files: 0, bytes: 0 },
      stored,
    }
  }

  get engines(): VerifyReport['engines'] {
    return this.#checksums?.engines ?? {}
  }

  expect(...rows: Parameters<VerifiedBackup['expect']>): void {
    this.#pieces.push(rows)
  }

  async compare(context: VerifyContext): Promise<void> {
    const { manifest, ignore, problems, clock, yielder, share } = context
    const { client, tree } = this.#plan
    const isFirst = share?.hasCluster !== false
    const checksums = this.#checksums
    const { table } = manifest
    const scan = await clock.time('scan', async () => {
      if (isFirst) this.#tellOddKeys(context)
      const directory = client.address.shown
      const states = checksums?.states
      const found = await scanDirectory({ directory, tree, table, ignore, problems, yielder, states, share })
      if (isFirst) await this.#checkDirectories(context)
      return found
    })
    await clock.time('checksums', async () => {
      checksums?.tellWalRanges(manifest.walRanges)
      const pieces = this.#pieces.splice(0)
      const isOwn = (row: number): boolean => share?.ownsRow(row) !== false
      for (const [first, end, isWanted] of pieces) {
        const isRead = (row: number): boolean =>
          isOwn(row) && isIntact(scan.states, row) && isWanted(row) && !this.#isKnown(table, row)
        checksums?.publish(first, end, isRead)
      }
      await checksums?.finish(scan, problems, share && placesInQueue(pieces, table))
    })
    if (this.#goodByStore.files > 0) context.notChecked.push(...this.#listUnread())
  }

  readSmallFile(pathname: Pathname, maxBytes: number): Buffer | undefined {
    return this.#plan.small.read(pathname, maxBytes)
  }

  listWal(): readonly Pathname[] {
    return this.#plan.tree.namesIn('pg_wal')
  }

  openWal({ options: { partialWal = false, signal } }: VerifyContext): OpenedWal {
    const { client, tree } = this.#plan
    return { source: storedWal(client, tree, partialWal, signal), close: async () => {} }
  }

  async close(): Promise<void> {
    await this.#checksums?.close()
  }

  #countGoodByStore(row: number): void {
    const { tree, table } = this.#plan
    const found = this.#goodByStore
    const modified = tree.files.get(table.pathname(row))?.modified.getTime() ?? Number.NaN
    found.files++
    found.bytes += table.size(row)
    // Where a listing has no date, its beginning stands for it.
    if (modified > 0 && modified < found.oldest) found.oldest = modified
  }

  /** What nobody has looked at in files of which no byte was read. */
  #listUnread(): NotChecked[] {
    const { files, bytes } = this.#goodByStore
    const { rules, incrementalFrom } = this.#plan.content
    const why = `of ${files} files the checksum was compared that the store keeps, and no byte was read`
    return [
      {
        what: 'stored-bytes',
        why: `${files} files of ${bytes} bytes were not read: their checksums are those that the store took when they were written, and that it has kept the bytes since is its promise`,
      },
      ...(rules?.hasPageChecksums === true ? [{ what: 'page-checksums', why } as const] : []),
      ...(incrementalFrom === undefined ? [] : [{ what: 'incremental-files', why } as const]),
    ]
  }

  /** Whether the checksum that the manifest has is known to be that of what was written; counts it then. */
  #isKnown(table: FileTable, row: number): boolean {
    const { knownChecksums } = this.#plan.options
    if (knownChecksums === undefined || table.algorithm(row) === undefined) return false
    if (knownChecksums.get(table.pathname(row)) !== table.checksum(row)) return false
    this.#known.filesChecked++
    this.#known.bytesChecked += table.size(row)
    return true
  }

  /** Reports objects that nobody could restore by their names. */
  #tellOddKeys({ ignore, problems }: VerifyContext): void {
    for (const { pathname, size } of this.#plan.tree.odd) {
      if (ignore.covers(pathname)) continue
      const problem = fileProblem(
        'extra',
        pathname,
        (name) => `"${name}" is present on disk but not in the manifest`,
        { size: { found: size } },
        this.#plan.tree.hasDirectory(pathname)
          ? 'there are objects below this name, so it would have to be a file and a directory; what is in the object was not read'
          : 'no file of a data directory can have this name, and what is in the object was not read',
      )
      problems.add(problem, placeOfOddKeys)
    }
  }

  /** Where there is nothing in a directory, the store does not have it; and nobody can say whether it was there. */
  async #checkDirectories(context: VerifyContext): Promise<void> {
    const { tree } = this.#plan
    const unknown = new Set<Pathname>()
    const directories = {
      presence: (pathname: Pathname) => {
        if (tree.hasDirectory(pathname)) return 'directory'
        if (tree.files.has(pathname)) return 'no directory'
        if (!context.ignore.coversOnRequest(pathname)) unknown.add(pathname)
        return 'unknown'
      },
      tablespaces: tree.namesIn('pg_tblspc').filter((name) => parsePositiveUnsignedInt32(name) !== undefined),
      place: 'on disk',
    } as const
    await checkNeededDirectories(directories, (...file) => this.readSmallFile(...file), context)
    if (unknown.size === 0) return
    context.notChecked.push({
      what: 'empty-directories',
      why: 'an object store has no empty directories; "pbmanifest restore" makes those that a server needs',
      paths: [...unknown],
      count: unknown.size,
    })
  }
}

function listedChecksums({ files }: ListedTree): ReadonlyMap<Pathname, string> {
  const listed = new Map<Pathname, string>()
  for (const [pathname, { checksums }] of files) if (checksums !== undefined) listed.set(pathname, checksums)
  return listed
}
