import { displayPathname, type Pathname } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import { throwIfAborted } from '../files/yielder.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../manifest/checksum/file-hasher.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import { type SourceFile, SourceReadError } from '../source/backup-source.js'
import { openDirectorySource } from '../source/directory-source.js'
import type { FileTable } from '../verify/file-table/file-table.js'
import { type ExpectedContent, type Fetching, repairFile } from './fetch-file.js'
import type { RepairPlan, WantedFile } from './plan-repair.js'
import type { RepairCopy } from './repair-copy.js'
import type { Reason } from './report.js'

/** Files that are fetched beside each other; more would wait for the same disk. */
const MOST_LANES = 8

/** What a repair of files works with. */
export interface FilesToRepair {
  readonly plan: RepairPlan
  readonly copy: RepairCopy
  readonly table: FileTable
  readonly jobs: number
  readonly trustSize: boolean
  readonly fetching: Fetching
  /** Looks at a pg_control that has the right checksum. */
  readonly acceptControl: (content: Buffer) => Promise<Reason | undefined>
  /** Is told of each file at once. */
  readonly onDone: (file: WantedFile, reason: Reason | undefined) => void
  /** Is told of each file in the order of the problems. */
  readonly onTurn: (file: WantedFile, reason: Reason | undefined) => void
}

/**
 * Takes the files of a plan from the copy, in the order in which that gives them; those that are kept meanwhile, and pg_control, which
 * are compared with the others, come last.
 *
 * @returns why nothing more can be written, if that is so
 * @throws {@link PbManifestError} `ABORTED`, or `IO` when the whole copy is lost
 */
export async function repairFiles(repair: FilesToRepair): Promise<Reason | undefined> {
  const { plan, copy, jobs } = repair
  const run = new FilesRun(repair)
  const early = plan.files.filter(({ pathname }) => copy.keeps(pathname) || pathname !== CONTROL_FILE)
  const late = plan.files.filter(({ pathname }) => copy.keeps(pathname) || pathname === CONTROL_FILE)
  const count = Math.max(1, Math.min(jobs, MOST_LANES, early.length))
  await run.take(copy.lanes(namesOf(early), count, plan.wal.length > 0), (pathname) => copy.keeps(pathname))
  if (late.length > 0) {
    await run.take(openDirectorySource(copy.directory).lanes(namesOf(late), 1, undefined), () => false)
  }
  return run.end
}

function namesOf(files: readonly WantedFile[]): SafePathname[] {
  return files.map(({ pathname }) => pathname)
}

class FilesRun {
  readonly #repair: FilesToRepair
  readonly #wanted: ReadonlyMap<Pathname, WantedFile>
  /** Those that were not given yet. */
  readonly #open: Set<Pathname>
  /** What became of those whose turn has not come. */
  readonly #done = new Map<Pathname, Reason | undefined>()
  #told = 0
  /** Whether the copy, or the whole repair, has come to its end. */
  #isStopped = false
  /** Why nothing more can be written. */
  end: Reason | undefined

  constructor(repair: FilesToRepair) {
    this.#repair = repair
    this.#wanted = new Map(repair.plan.files.map((file) => [file.pathname, file]))
    this.#open = new Set(this.#wanted.keys())
  }

  async take(
    lanes: readonly AsyncIterable<SourceFile>[],
    isKept: (pathname: Pathname) => boolean,
  ): Promise<void> {
    const taken = lanes.map((lane) =>
      this.#takeLane(lane, isKept).catch((error: unknown) => {
        // One reason is enough.
        this.#isStopped = true
        throw error
      }),
    )
    const results = await Promise.allSettled(taken)
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const lost = results.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : []))[0]
    if (lost === undefined) return
    for (const pathname of this.#open) {
      if (isKept(pathname)) this.#repair.copy.failures.set(pathname, lost)
      else {
        const message = `could not read "${displayPathname(pathname)}" of the copy: ${lost}`
        this.#finish(pathname, { kind: 'copy-unreadable', message })
      }
    }
  }

  /** @returns why not all of it was given */
  async #takeLane(
    lane: AsyncIterable<SourceFile>,
    isKept: (pathname: Pathname) => boolean,
  ): Promise<string | undefined> {
    const { copy, table, fetching } = this.#repair
    const hashers = new Map<string, FileHasher>()
    try {
      for await (const file of lane) {
        throwIfAborted(fetching.signal)
        if (this.#isStopped) return undefined
        const { pathname } = file
        const wanted = this.#wanted.get(pathname)
        if (isKept(pathname)) await copy.keep(file, wanted && table.size(wanted.row))
        else if (wanted !== undefined && this.#open.has(pathname)) {
          this.#finish(pathname, this.#notTried() ?? (await this.#repairOne(file, wanted, hashers)))
        }
      }
      return undefined
    } catch (error) {
      // What else an archive with WAL would have given, nobody knows.
      if (error instanceof SourceReadError) return error.message
      throw error
    }
  }

  #notTried(): Reason | undefined {
    if (this.end === undefined) return undefined
    return { kind: 'not-tried', message: `not tried after the first failure: ${this.end.message}` }
  }

  async #repairOne(
    file: SourceFile,
    { pathname, row }: WantedFile,
    hashers: Map<string, FileHasher>,
  ): Promise<Reason | undefined> {
    const { table, trustSize, fetching, acceptControl } = this.#repair
    const algorithm = table.algorithm(row)
    const size = table.size(row)
    const accept = pathname === CONTROL_FILE ? acceptControl : undefined
    if (algorithm === undefined) {
      // Of no bytes there is only one kind.
      if (size > 0 && !trustSize) return withoutChecksum(pathname)
      return await repairFile(file, { pathname, size, checksum: undefined, accept }, fetching)
    }
    const hasher = hashers.get(algorithm) ?? (await createFileHasher(algorithm, 'unknown'))
    hashers.set(algorithm, hasher)
    const checksum = { hasher, hex: table.checksum(row) }
    const expected: ExpectedContent = { pathname, size, checksum, accept }
    return await repairFile(file, expected, fetching)
  }

  #finish(pathname: Pathname, reason: Reason | undefined): void {
    const { plan, onDone, onTurn } = this.#repair
    const file = this.#wanted.get(pathname)
    if (file === undefined) return
    this.#open.delete(pathname)
    if (reason?.kind === 'write-failed' && isFinal(reason)) this.end ??= reason
    onDone(file, reason)
    this.#done.set(pathname, reason)
    for (;;) {
      const next = plan.files[this.#told]
      if (next === undefined || !this.#done.has(next.pathname)) return
      this.#told++
      onTurn(next, this.#done.get(next.pathname))
      this.#done.delete(next.pathname)
    }
  }
}

function withoutChecksum(pathname: SafePathname): Reason {
  return {
    kind: 'no-checksum',
    message: `the manifest has no checksum for "${displayPathname(pathname)}", so nothing shows that the copy's is the right one`,
    hint: 'Use --trust-size to take it when it has the size that the manifest says.',
  }
}

/** Whether it would be the same with every other file. */
function isFinal({ message }: Reason): boolean {
  return /(?:No space left on device|Read-only file system|Disk quota exceeded)$/i.test(message)
}
