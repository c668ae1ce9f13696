import { isPbManifestError, PbManifestError } from '../errors.js'
import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { readSmallFile } from '../files/read-small-file.js'
import { Yielder } from '../files/yielder.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../manifest/checksum/file-hasher.js'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { type ControlFile, parseControlFile } from '../postgres/control-file.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import type { BackupSource, SourceFile } from '../source/backup-source.js'
import { FileTable } from '../verify/file-table/file-table.js'
import { IgnoreRules } from '../verify/ignore-rules.js'
import { loadManifest, type ManifestContents } from '../verify/manifest-files.js'
import type { VerifyReport } from '../verify/report.js'
import { listWalSegments } from '../verify/wal/list-wal-segments.js'
import { acceptControlFile } from './accept-control-file.js'
import { type ExpectedContent, type Fetching, fetchFile, repairFile } from './fetch-file.js'
import type { RepairOptions } from './options.js'
import type { RepairPlan, WantedFile } from './plan-repair.js'
import { type RepairedDirectory, writeFailed } from './repaired-directory.js'
import { repairWal } from './repair-wal.js'
import type { Reason, RepairItem } from './report.js'

const MANIFEST = 'backup_manifest'

const MAX_CONTROL_FILE_BYTES = 64 * 1024

/** Files that are fetched beside each other; more would wait for the same disk. */
const MOST_LANES = 8

/** What a repair works with. */
export interface RepairContext {
  readonly directory: string
  readonly source: BackupSource
  readonly target: RepairedDirectory
  readonly options: RepairOptions
  /** What the backup was found to be. */
  readonly before: VerifyReport
  /** `undefined`: the backup's own. */
  readonly manifestPath: string | undefined
  readonly jobs: number
  /** Whether the copy has the same manifest. */
  readonly isSameBackup: boolean
  /** Is told of each thing that was, would be or could not be repaired. */
  readonly add: (item: RepairItem) => void
}

/** The part of a repair between the verifications. */
export class RepairRun {
  readonly #context: RepairContext
  readonly #fetching: Fetching
  readonly #ignore: IgnoreRules
  /** Of which the copy has what is needed. */
  readonly #good = new Set<Pathname>()
  /** Why nothing more can be written. */
  #end: Reason | undefined
  #manifest: ManifestContents | undefined
  #bytesDone = 0
  bytesWritten = 0

  constructor(context: RepairContext) {
    const { target, options } = context
    this.#context = context
    this.#ignore = new IgnoreRules(options.ignore ?? [])
    this.#fetching = {
      target,
      writes: options.write === true,
      signal: options.signal,
      onBytes: (bytes) => void (this.#bytesDone += bytes),
    }
  }

  /** The files of the manifest. @throws {@link PbManifestError} also when it is another one by now */
  async loadTable(): Promise<FileTable> {
    const { directory, manifestPath, before, options } = this.#context
    const source = await openManifest(manifestPath ?? `${directory}/${MANIFEST}`)
    this.#manifest = await loadManifest(source, FileTable.of(source), () => {}, options.signal)
    if (this.#manifest.summary.checksum === before.manifest.checksum) return this.#manifest.table
    throw new PbManifestError(
      'BAD_MANIFEST',
      `"${displayPathname(source.path)}" has changed while it was used`,
    )
  }

  /** Repairs, or only looks whether that is possible: directories, files, then WAL. After {@link loadTable}. */
  async repair(plan: RepairPlan): Promise<void> {
    const { add, target, directory, source, jobs, options } = this.#context
    const manifest = this.#manifest
    if (manifest === undefined) throw new Error('the manifest was not loaded')
    for (const pathname of plan.directories) {
      const reason = await target.makeDirectory(pathname)
      add(this.#item('directory', pathname, reason, { problem: 'missing-directory' }))
    }
    const files = plan.files.filter(({ pathname }) => pathname !== CONTROL_FILE)
    await this.#repairFiles(files, manifest)
    // It is compared with what has been repaired by then.
    await this.#repairFiles(plan.files.slice(files.length), manifest)
    if (plan.wal.length === 0 || this.#end !== undefined) return
    const items = await repairWal({
      directory,
      source,
      manifest,
      control: this.#readControl(),
      readSmallFile: (...file) => this.#readSmallFile(...file),
      ignore: this.#ignore,
      jobs,
      yielder: new Yielder(options.signal),
      fetching: this.#fetching,
      problems: plan.wal,
    })
    for (const item of items) add(item)
  }

  /** Puts the copy's manifest, which was the one that counted, in the place of the backup's own. */
  async repairManifest(): Promise<void> {
    const { source, directory, target, before, add, options } = this.#context
    const pathname = ownPathname(MANIFEST)
    for await (const file of source.files([pathname])) {
      const size = file.type === 'file' ? file.size : 0
      const fetched = await fetchFile(file, { pathname, size, checksum: undefined }, this.#fetching)
      if ('reason' in fetched || fetched.file === undefined) {
        add(this.#item('manifest', pathname, 'reason' in fetched ? fetched.reason : undefined))
        continue
      }
      let reason: Reason | undefined
      try {
        const written = await openManifest(`${directory}/${fetched.file.temporaryPathname}`)
        const handler = { file: () => {}, walRange: () => {} }
        const { checksum } = await scanManifest(written, handler, {
          ...(options.signal && { signal: options.signal }),
        })
        if (checksum === before.manifest.checksum) await target.put(pathname, fetched.file)
        else
          reason = { kind: 'copy-differs', message: 'the manifest of the copy has changed while it was used' }
      } catch (error) {
        reason = writeFailed(error)
      } finally {
        await fetched.file.discard()
      }
      add(this.#item('manifest', pathname, reason))
    }
  }

  async #repairFiles(files: readonly WantedFile[], manifest: ManifestContents): Promise<void> {
    const { source, jobs, options, add } = this.#context
    const { table } = manifest
    const byName = new Map(files.map((file, index) => [file.pathname as Pathname, { ...file, index }]))
    const bytesTotal = files.reduce((sum, { row }) => sum + table.size(row), 0)
    this.#bytesDone = 0
    /** Items are told in the order of the problems, whichever was first. */
    const done = new Map<number, RepairItem>()
    let told = 0
    const finish = (
      { pathname, row, problem, index }: WantedFile & { index: number },
      reason?: Reason,
    ): void => {
      const bytes = table.size(row)
      if (reason === undefined) this.#good.add(pathname)
      if (reason === undefined && this.#fetching.writes) this.bytesWritten += bytes
      if (reason?.kind === 'write-failed' && isFinal(reason)) this.#end ??= reason
      done.set(index, this.#item('file', pathname, reason, { problem, bytes }))
      for (let item = done.get(told); item !== undefined; item = done.get(told)) {
        done.delete(told++)
        add(item)
      }
      options.onProgress?.({ step: 'repair', bytesDone: Math.min(this.#bytesDone, bytesTotal), bytesTotal })
    }
    const names = this.#names(byName, finish)
    const lane = async (): Promise<void> => {
      const hashers = new Map<string, FileHasher>()
      for await (const file of source.files(names)) {
        const wanted = byName.get(file.pathname)
        if (wanted !== undefined) finish(wanted, await this.#repairOne(file, wanted, manifest, hashers))
      }
    }
    const lanes = Array.from({ length: Math.min(jobs, MOST_LANES, files.length) }, lane)
    const failed = (await Promise.allSettled(lanes)).find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** What is still to be asked for, by any lane. */
  *#names<File extends WantedFile>(
    files: ReadonlyMap<Pathname, File>,
    finish: (file: File, reason: Reason) => void,
  ): Generator<Pathname, void, undefined> {
    for (const [pathname, file] of files) {
      if (this.#context.options.signal?.aborted === true) return
      if (this.#end === undefined) yield pathname
      else
        finish(file, {
          kind: 'not-tried',
          message: `not tried after the first failure: ${this.#end.message}`,
        })
    }
  }

  async #repairOne(
    file: SourceFile,
    { pathname, row }: WantedFile,
    manifest: ManifestContents,
    hashers: Map<string, FileHasher>,
  ): Promise<Reason | undefined> {
    const { table } = manifest
    const algorithm = table.algorithm(row)
    const size = table.size(row)
    const accept =
      pathname === CONTROL_FILE ? (content: Buffer) => this.#acceptControl(content, manifest) : undefined
    if (algorithm === undefined) {
      // Of no bytes there is only one kind.
      const isShown = size === 0 || this.#context.options.trustSize === true
      if (!isShown) return withoutChecksum(pathname)
      return await repairFile(file, { pathname, size, checksum: undefined, accept }, this.#fetching)
    }
    const hasher = hashers.get(algorithm) ?? (await createFileHasher(algorithm, 'unknown'))
    hashers.set(algorithm, hasher)
    const expected: ExpectedContent = {
      pathname,
      size,
      checksum: { hasher, hex: table.checksum(row) },
      accept,
    }
    return await repairFile(file, expected, this.#fetching)
  }

  async #acceptControl(content: Buffer, manifest: ManifestContents): Promise<Reason | undefined> {
    const { directory, isSameBackup } = this.#context
    return await acceptControlFile(content, {
      manifest,
      ignore: this.#ignore,
      readSmallFile: (...file) => this.#readSmallFile(...file),
      wal: listWalSegments([`${directory}/pg_wal`], false),
      isSameBackup,
    })
  }

  /** A file of the backup, as it will be. */
  #readSmallFile(pathname: Pathname, maxBytes: number): Buffer | undefined {
    const { directory, source } = this.#context
    const isElsewhere = !this.#fetching.writes && this.#good.has(pathname)
    return readSmallFile(`${isElsewhere ? source.place : directory}/${pathname}`, maxBytes)
  }

  #readControl(): ControlFile | undefined {
    try {
      const bytes = this.#readSmallFile(CONTROL_FILE, MAX_CONTROL_FILE_BYTES)
      return bytes && parseControlFile(bytes, CONTROL_FILE)
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      return undefined
    }
  }

  #item(
    what: RepairItem['what'],
    pathname: SafePathname,
    reason: Reason | undefined,
    rest: Pick<RepairItem, 'problem' | 'bytes'> = {},
  ): RepairItem {
    const name = isUtf8Pathname(pathname)
      ? { path: pathname }
      : { encodedPath: encodePathname(pathname).toString('hex') }
    const outcome = reason !== undefined ? 'not-repaired' : this.#fetching.writes ? 'repaired' : 'repairable'
    return { what, ...name, ...rest, outcome, ...(reason !== undefined && { reason }) }
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
