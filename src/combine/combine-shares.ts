import { join } from 'node:path'
import { type ErrorCode, isPbManifestError } from '../errors.js'
import type { Pathname } from '../files/pathname.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { fragmentFileName } from '../manifest/fragment/backup-id.js'
import { FragmentWriter } from '../manifest/fragment/fragment-writer.js'
import { createPageChecker } from '../postgres/data-page/page-checker.js'
import { PAGE_SIZE } from '../postgres/data-page/page-layout.js'
import { Claims } from '../threads/claims.js'
import type { ContentRules } from '../verify/content/decide-content-rules.js'
import { ReplayedWal } from '../verify/content/replayed-wal.js'
import { FileFinder, type PathnameIndexBuffers } from '../verify/file-table/pathname-index.js'
import type { FileTableBuffers } from '../verify/file-table/file-rows.js'
import type { Problem } from '../verify/report.js'
import { type FileMaker, type MadeFile, makeFile } from './combine-file.js'
import type { PageFindings } from './file-pages.js'
import { HasherPool, InputFault } from './input-file.js'
import type { CopyMethod } from './report.js'
import { type PackedShares, shareOf } from './plan-shares.js'
import { syncFile } from './target-files.js'

/** What is read, looked at and written at a time. With larger writes, the system takes half as long again: docs/performance.md. */
const CHUNK_BYTES = 16 * PAGE_SIZE

/** What threads count together, in a BigInt64 each. */
export const counters = [
  'bytesRead',
  'bytesWritten',
  'wholeFiles',
  'reconstructedFiles',
  'compared',
  'pages',
  'zeroBlocks',
] as const

type Counter = (typeof counters)[number]

/** What a thread that combines is sent. */
export interface StartCombining {
  /** The full one first. */
  readonly backups: readonly {
    readonly directory: string
    /** `undefined`: it has no manifest. */
    readonly table: { readonly rows: FileTableBuffers; readonly index: PathnameIndexBuffers } | undefined
    readonly isCompared: boolean
  }[]
  readonly target: { readonly directory: string; readonly fileMode: number } | undefined
  /** `undefined`: no manifest is made. */
  readonly backupId: string | undefined
  readonly algorithm: ChecksumAlgorithm
  readonly copyMethod: Exclude<CopyMethod, 'auto'>
  readonly segmentPages: number
  /** `undefined`: page checksums are not checked. */
  readonly pages: { readonly content: ContentRules; readonly replayedWal: SharedArrayBuffer } | undefined
  readonly sync: boolean
  /** Whether every file is to be told. */
  readonly tellsFiles: boolean
  readonly shares: PackedShares
  /** Whether there is so much to read that the fastest engine for checksums is worth its loading. */
  readonly isMuch: boolean
  /** Of shares. */
  readonly claims: SharedArrayBuffer
  /** See {@link counters}; behind them, the blocks from each backup. */
  readonly counts: SharedArrayBuffer
  /** An Int32: whether the result is of no use any more. */
  readonly doom: SharedArrayBuffer
}

/** What a thread sends. */
export type CombiningMessage =
  | { readonly type: 'problem'; readonly place: number; readonly backup: number; readonly problem: Problem }
  | {
      readonly type: 'pages'
      readonly place: number
      readonly pathname: Pathname
      readonly findings: PageFindings
    }
  | { readonly type: 'warning'; readonly message: string }
  | {
      readonly type: 'file'
      readonly file: Pick<MadeFile, 'pathname' | 'wholeFrom' | 'blocks' | 'zeroBlocks'>
    }
  | {
      readonly type: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly details: readonly string[]
      readonly hint: string | undefined
    }

/** Makes the files of shares, and a fragment of each, until there are no more. Runs in any thread. */
export async function combineShares(
  start: StartCombining,
  post: (message: CombiningMessage) => void,
): Promise<void> {
  try {
    await new ShareWork(start, post).run()
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    const { code, message, details, hint } = error
    post({ type: 'failed', code, message, details, hint })
  }
}

class ShareWork {
  readonly #start: StartCombining
  readonly #post: (message: CombiningMessage) => void
  readonly #claims: Claims
  readonly #counts: BigInt64Array
  readonly #doom: Int32Array
  readonly #maker: FileMaker
  readonly #written: Pathname[] = []

  constructor(start: StartCombining, post: (message: CombiningMessage) => void) {
    this.#start = start
    this.#post = post
    this.#claims = new Claims(start.claims)
    this.#counts = new BigInt64Array(start.counts)
    this.#doom = new Int32Array(start.doom)
    const checker = createPageChecker(CHUNK_BYTES)
    const { pages } = start
    this.#maker = {
      ...start,
      backups: start.backups.map(({ directory, table, isCompared }) => ({
        directory,
        files: table && new FileFinder(table.rows, table.index),
        isCompared,
      })),
      pageRules: pages && { ...pages, checker, replayedWal: new ReplayedWal(pages.replayedWal) },
      hashers: new HasherPool(start.isMuch ? 'much' : 'unknown'),
      buffer: checker.buffer,
      scratch: Buffer.allocUnsafeSlow(CHUNK_BYTES),
      onBytes: (bytes) => this.#count('bytesRead', bytes),
      onChunk: () => this.#claims.throwIfAbandoned(),
      isDoomed: () => Atomics.load(this.#doom, 0) === 1,
    }
  }

  async run(): Promise<void> {
    const { shares, target, sync } = this.#start
    const count = shares.order.length
    for (let claim = this.#claims.claim(); claim < count; claim = this.#claims.claim()) {
      await this.#makeShare(shares.order[claim] ?? 0)
    }
    if (target === undefined || !sync || this.#maker.isDoomed()) return
    for (const pathname of this.#written) {
      this.#claims.throwIfAbandoned()
      syncFile(target.directory, pathname)
    }
  }

  async #makeShare(share: number): Promise<void> {
    const { target, backupId, shares } = this.#start
    const writer =
      target === undefined || backupId === undefined
        ? undefined
        : // The first fragment is the leader's.
          await FragmentWriter.create(
            join(target.directory, fragmentFileName(backupId, share + 1)),
            backupId,
            share + 1,
          )
    try {
      for (const { pathname, place } of shareOf(shares, share)) {
        this.#claims.throwIfAbandoned()
        const made = await this.#make(pathname, place)
        if (made?.entry !== undefined) await writer?.append(made.entry)
      }
      await writer?.seal(false)
    } catch (error) {
      await writer?.discard()
      throw error
    }
  }

  async #make(pathname: Pathname, place: number): Promise<MadeFile | undefined> {
    try {
      const made = await makeFile(this.#maker, pathname)
      this.#tell(made, place)
      return made
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
      Atomics.store(this.#doom, 0, 1)
      this.#post({ type: 'problem', place, backup: error.backup, problem: error.problem })
      return undefined
    }
  }

  #tell(made: MadeFile, place: number): void {
    const { pathname, wholeFrom, blocks, zeroBlocks, entry, pages } = made
    if (entry !== undefined) {
      this.#written.push(pathname)
      this.#count('bytesWritten', entry.size)
    }
    this.#count(wholeFrom === undefined ? 'reconstructedFiles' : 'wholeFiles', 1)
    this.#count('compared', made.compared)
    this.#count('pages', pages?.checked ?? 0)
    this.#count('zeroBlocks', zeroBlocks)
    for (const [backup, count] of blocks.entries()) {
      Atomics.add(this.#counts, counters.length + backup, BigInt(count))
    }
    for (const message of made.warnings) this.#post({ type: 'warning', message })
    if (pages?.certain !== undefined) Atomics.store(this.#doom, 0, 1)
    if (pages?.certain !== undefined || pages?.inQuestion !== undefined) {
      this.#post({ type: 'pages', place, pathname, findings: pages })
    }
    if (this.#start.tellsFiles)
      this.#post({ type: 'file', file: { pathname, wholeFrom, blocks, zeroBlocks } })
  }

  #count(counter: Counter, value: number): void {
    Atomics.add(this.#counts, counters.indexOf(counter), BigInt(value))
  }
}
