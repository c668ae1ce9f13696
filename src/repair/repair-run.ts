import { isPbManifestError, PbManifestError } from '../errors.js'
import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { readSmallFile } from '../files/read-small-file.js'
import { Yielder } from '../files/yielder.js'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { type ControlFile, parseControlFile } from '../postgres/control-file.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import { openDirectorySource } from '../source/directory-source.js'
import { FileTable } from '../verify/file-table/file-table.js'
import { IgnoreRules } from '../verify/ignore-rules.js'
import { loadManifest, type ManifestContents } from '../verify/manifest-files.js'
import type { VerifyReport } from '../verify/report.js'
import { listWalSegments } from '../verify/wal/file-wal-source.js'
import { fetchFile, type Fetching } from './fetch-file.js'
import type { RepairOptions } from './options.js'
import type { RepairPlan } from './plan-repair.js'
import type { RepairCopy } from './repair-copy.js'
import { type RepairedDirectory, writeFailed } from './repaired-directory.js'
import { repairFiles } from './repair-files.js'
import { repairWal } from './repair-wal.js'
import type { Reason, RepairItem } from './report.js'
import { checkCluster } from '../verify/check-cluster.js'
import { ProblemList } from '../verify/problems.js'
import type { ReadSmallBackupFile } from '../verify/verify-context.js'
import type { WalSource } from '../verify/wal/wal-source.js'
import { readFirstPageHeader } from '../verify/wal/wal-segment-size.js'

const MANIFEST = 'backup_manifest'

const MAX_CONTROL_FILE_BYTES = 64 * 1024

/** What a repair works with. */
interface RepairContext {
  readonly directory: string
  readonly copy: RepairCopy
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
    const { add, target, directory, copy, jobs, options } = this.#context
    const manifest = this.#manifest
    if (manifest === undefined) throw new Error('the manifest was not loaded')
    for (const pathname of plan.directories) {
      const reason = await target.makeDirectory(pathname)
      add(this.#item('directory', pathname, reason, { problem: 'missing-directory' }))
    }
    await this.#repairFiles(plan, manifest)
    if (plan.wal.length === 0 || this.#end !== undefined) return
    const items = await repairWal({
      directory,
      source: openDirectorySource(copy.directory),
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
    const { copy, directory, target, before, add, options } = this.#context
    const pathname = ownPathname(MANIFEST)
    for await (const file of openDirectorySource(copy.directory).files([pathname])) {
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

  async #repairFiles(plan: RepairPlan, manifest: ManifestContents): Promise<void> {
    const { copy, jobs, options, add } = this.#context
    const { table } = manifest
    const bytesTotal = plan.files.reduce((sum, { row }) => sum + table.size(row), 0)
    this.#bytesDone = 0
    this.#end = await repairFiles({
      plan,
      copy,
      table,
      jobs,
      trustSize: options.trustSize === true,
      fetching: this.#fetching,
      acceptControl: (content) => this.#acceptControl(content, manifest),
      onDone: ({ pathname, row }, reason) => {
        if (reason === undefined) this.#good.add(pathname)
        if (reason === undefined && this.#fetching.writes) this.bytesWritten += table.size(row)
        const bytesDone = Math.min(this.#bytesDone, bytesTotal)
        options.onProgress?.({ step: 'repair', bytesDone, bytesTotal })
      },
      onTurn: ({ pathname, problem, row }, reason) =>
        add(this.#item('file', pathname, reason, { problem, bytes: table.size(row) })),
    })
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
    const { directory, copy } = this.#context
    const isElsewhere = !this.#fetching.writes && this.#good.has(pathname)
    return readSmallFile(`${isElsewhere ? copy.directory : directory}/${pathname}`, maxBytes)
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

/** What a pg_control of the copy is compared with. */
interface ControlFileEvidence {
  readonly manifest: ManifestContents
  readonly ignore: IgnoreRules
  /** Of the backup, as it would be. */
  readonly readSmallFile: ReadSmallBackupFile
  /** The backup's WAL. */
  readonly wal: WalSource
  /** Whether the copy's manifest is the very one of the backup. */
  readonly isSameBackup: boolean
}

/**
 * Decides whether a pg_control that has the checksum of the manifest is that of the backup. With CRC-32C every valid one has it, since
 * the file holds its own; so it has to fit what else there is: the system identifier, and backup_label and the WAL ranges.
 *
 * @returns why not
 */
async function acceptControlFile(
  content: Buffer,
  evidence: ControlFileEvidence,
): Promise<Reason | undefined> {
  const { manifest, ignore, readSmallFile } = evidence
  const row = manifest.table.find(CONTROL_FILE)
  if (manifest.table.algorithm(row) !== 'CRC32C') return undefined
  const problems = new ProblemList(undefined, false)
  const read: ReadSmallBackupFile = (pathname, maxBytes) =>
    pathname === CONTROL_FILE ? content : readSmallFile(pathname, maxBytes)
  checkCluster({ readSmallFile: read, manifest, ignore, problems, notChecked: [] })
  for (const { kind, message } of problems) if (kind === 'control-file') return foreign(message)
  // The manifest's has been compared by now.
  if (manifest.summary.systemIdentifier !== undefined) return undefined
  const own = systemIdentifierOf(content)
  const walIdentifier = await findSystemIdentifier(evidence.wal)
  if (walIdentifier !== undefined) {
    if (own === undefined || own === walIdentifier) return undefined
    return foreign(`"${CONTROL_FILE}" has system identifier ${own}, but the WAL has ${walIdentifier}`)
  }
  if (evidence.isSameBackup) return undefined
  return foreign('nothing shows of which cluster it is: its CRC-32C is that of every valid one')
}

function systemIdentifierOf(content: Buffer): bigint | undefined {
  try {
    return parseControlFile(content, CONTROL_FILE).systemIdentifier
  } catch (error) {
    // Of a version that is not known.
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}

/** What the first segment that can be read says. */
async function findSystemIdentifier(wal: WalSource): Promise<bigint | undefined> {
  for (const name of wal.names.toSorted()) {
    const header = await readFirstPageHeader(wal, name)
    if (header?.long !== undefined) return header.long.systemIdentifier
  }
  return undefined
}

function foreign(message: string): Reason {
  return { kind: 'foreign', message: `the copy's is of another backup: ${message}` }
}
