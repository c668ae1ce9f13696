import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { writeFully } from '../files/durable-file.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'
import { throwIfAborted } from '../files/yielder.js'
import { BACKUP_LABEL, CONTROL_FILE, TABLESPACE_MAP } from '../postgres/data-directory.js'
import { parsePositiveUnsignedInt32 } from '../postgres/unsigned-int.js'
import { type BackupSource, type SourceFile, SourceReadError } from '../source/backup-source.js'
import { commandPlace, fetchManifest } from '../source/command/command-place.js'
import type { FetchOptions } from '../source/command/fetch-command.js'
import { openDirectorySource } from '../source/directory-source.js'
import { type ListedObject, listObjects } from '../source/store/list-objects.js'
import { parseStoreAddress } from '../source/store/store-address.js'
import { StoreClient } from '../source/store/store-client.js'
import { openStoreSource, storedArchives } from '../source/store/store-source.js'
import { remoteArchive } from '../source/tar/archive-place.js'
import { archivesIn, openTarSource } from '../source/tar/tar-source.js'
import { detectBackupFormat } from '../verify/detect-backup-format.js'
import { isStoredAsTar, told } from '../verify/store/stored-manifest.js'
import type { RepairOptions } from './options.js'
import type { ManifestSummary } from '../manifest/manifest-parser.js'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { readControlFile } from '../manifest/data-directory-files.js'
import type { VerifiedManifest } from '../verify/report.js'
import type { CopyIdentity } from './report.js'

const MANIFEST = ownPathname('backup_manifest')

const segments = /^pg_wal\/[0-9A-F]{24}$/
/** PostgreSQL has no longer ones. */
const MAX_SEGMENT_BYTES = 1024 ** 3

/** Connections to a store; each lane has one. */
const CONNECTIONS = 32

/** What is looked at together, before anything takes its place. */
const lookedAt: ReadonlySet<Pathname> = new Set([CONTROL_FILE, 'PG_VERSION', BACKUP_LABEL, TABLESPACE_MAP])

/** Gives a source that has these files, as far as there are any; and what is to be done in the end. */
interface CopyPlace {
  /** As it is shown. */
  readonly shown: string
  /** Where it is, if it is a directory with files. */
  readonly directory?: string
  readonly open: (wanted: readonly Pathname[]) => BackupSource
  readonly close?: () => void
}

/**
 * The copy that a repair takes files from; nothing in it is trusted. Each file that is wanted is given once, from wherever the copy is.
 * What has to be looked at together with other files, and the WAL, is kept meanwhile in a directory of our own, in TMPDIR, when the
 * copy is not in one.
 */
export class RepairCopy {
  /** As it is shown. */
  readonly shown: string
  /** The copy, or what is kept of it, as it is in a backup in plain format. */
  readonly directory: string
  /** Of files that were to be kept: why they could not be read. */
  readonly failures: Map<Pathname, string> = new Map()
  readonly #place: CopyPlace
  readonly #signal: AbortSignal | undefined

  private constructor(place: CopyPlace, { signal }: RepairOptions) {
    this.#place = place
    this.#signal = signal
    this.shown = place.shown
    this.directory = place.directory ?? mkdtempSync(join(tmpdir(), 'pbmanifest-copy-'))
  }

  /**
   * Begins with its manifest, where it has one.
   *
   * @param listed - the objects of a copy in a store, as far as they are known. Default: they are listed
   * @throws {@link PbManifestError} `IO`, `USAGE` or `ABORTED`
   */
  static async open(options: RepairOptions, listed?: readonly ListedObject[]): Promise<RepairCopy> {
    const { from, signal } = options
    if (typeof from !== 'string') {
      return 'address' in from ? await openStored(from, options, listed) : await openFetched(from, options)
    }
    if (!isDirectory(from) || detectBackupFormat(from) === 'plain') {
      return new RepairCopy({ shown: from, directory: from, open: () => openDirectorySource(from) }, options)
    }
    const set = { shown: from, archives: archivesIn(from), place: undefined, signal }
    const place = { shown: from, open: () => openTarSource(set) }
    return await RepairCopy.begin(place, openDirectorySource(from), options)
  }

  /** @param source - has the manifest */
  static async begin(
    place: CopyPlace,
    source: Pick<BackupSource, 'files'>,
    options: RepairOptions,
  ): Promise<RepairCopy> {
    const copy = new RepairCopy(place, options)
    try {
      for await (const file of source.files([MANIFEST])) await copy.keep(file, undefined)
      return copy
    } catch (error) {
      copy.close()
      throw error
    }
  }

  /** Whether a file is to be kept, and not to be taken as soon as it is given. */
  keeps(pathname: Pathname): boolean {
    return this.#place.directory === undefined && (lookedAt.has(pathname) || segments.test(pathname))
  }

  /**
   * Gives files, and WAL where that is to be kept, in lanes that work beside each other; all of them have to be read.
   *
   * @param count - of lanes, as far as the copy has no better number
   */
  lanes(wanted: readonly Pathname[], count: number, withWal: boolean): readonly AsyncIterable<SourceFile>[] {
    const also = withWal && this.#place.directory === undefined ? segments : undefined
    if (wanted.length === 0 && also === undefined) return []
    return this.#place.open(wanted).lanes(wanted, count, also)
  }

  /**
   * Keeps a file.
   *
   * @param size - what it should have; of a file that has another one, the size is enough
   * @throws {@link PbManifestError} `IO` or `ABORTED`
   */
  async keep(file: SourceFile, size: number | undefined): Promise<void> {
    const { pathname } = file
    if (file.type === 'unreadable') return void this.failures.set(pathname, file.message)
    if (file.type === 'absent') return
    const isWanted = size === undefined ? file.size <= MAX_SEGMENT_BYTES : file.size === size
    try {
      await this.#writeChunks(ownPathname(pathname), isWanted ? file.chunks() : file.size)
    } catch (error) {
      if (!(error instanceof SourceReadError)) throw error
      this.failures.set(pathname, error.message)
    }
  }

  /** Removes what was kept. */
  close(): void {
    this.#place.close?.()
    if (this.#place.directory === undefined) rmSync(this.directory, { recursive: true, force: true })
  }

  /** @param content - a number: of so many zeros */
  async #writeChunks(pathname: SafePathname, content: AsyncIterable<Buffer> | number): Promise<void> {
    const path = pathOf(this.directory, pathname)
    let handle: FileHandle | undefined
    try {
      await mkdir(pathOf(this.directory, dirname(pathname)), { recursive: true, mode: 0o700 })
      handle = await open(path, 'w', 0o600)
      if (typeof content === 'number') await handle.truncate(content)
      else
        for await (const chunk of content) {
          throwIfAborted(this.#signal)
          await writeFully(handle, chunk)
        }
    } catch (error) {
      throw ioError(`could not write file "${displayPathname(`${this.directory}/${pathname}`)}"`, error)
    } finally {
      await handle?.close()
    }
  }
}

async function openFetched(
  { fetchCommand, fetchTimeoutSeconds }: Extract<RepairOptions['from'], { readonly fetchCommand: string }>,
  options: RepairOptions,
): Promise<RepairCopy> {
  const { signal } = options
  // What comes is compared with a manifest, or is WAL, whose records have checksums.
  const fetching: FetchOptions = {
    command: fetchCommand,
    timeoutSeconds: fetchTimeoutSeconds,
    onNoise: () => {},
  }
  const place = commandPlace(fetching)
  const open = (wanted: readonly Pathname[]): BackupSource => {
    const oids = new Set(wanted.map((pathname) => /^pg_tblspc\/([0-9]+)\//.exec(pathname)?.[1] ?? ''))
    const tablespaces = [...oids].flatMap((oid) => parsePositiveUnsignedInt32(oid) ?? [])
    const archives = [
      remoteArchive('base'),
      ...tablespaces.map((tablespaceOid) => remoteArchive({ tablespaceOid })),
      remoteArchive('pg_wal'),
    ]
    return openTarSource({ shown: fetchCommand, archives, place, signal })
  }
  const manifest = {
    async *files([pathname = MANIFEST]: readonly Pathname[]): AsyncGenerator<SourceFile, void, undefined> {
      const chunks = (): AsyncIterable<Buffer> => fetchManifest(fetching, MANIFEST, signal)
      yield { type: 'file', pathname, size: 0, modified: new Date(), chunks }
    },
  }
  return await RepairCopy.begin({ shown: fetchCommand, open }, manifest, options)
}

async function openStored(
  { address, store }: Extract<RepairOptions['from'], { readonly address: string }>,
  options: RepairOptions,
  listed: readonly ListedObject[] | undefined,
): Promise<RepairCopy> {
  const { signal, onRetry } = options
  const client = new StoreClient(parseStoreAddress(address), store, CONNECTIONS, onRetry)
  const { shown } = client.address
  const objects = listed ?? (await told(`could not list "${shown}"`, listObjects(client, signal)))
  if (objects.length === 0) {
    throw new PbManifestError('IO', `there are no objects below "${shown}"`)
  }
  const files = openStoreSource(client, objects, signal)
  const source = isStoredAsTar(objects)
    ? openTarSource({ ...storedArchives(client, objects), signal })
    : files
  const place = { shown, open: () => source, close: () => client.close() }
  return await RepairCopy.begin(place, files, options)
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    // Who opens it says why.
    return false
  }
}

/**
 * Finds out of which backup a copy is, by its manifest and pg_control. That is to be told, no more: each file is compared with the
 * manifest that counts.
 *
 * @throws {@link PbManifestError} `ABORTED`
 */
export async function identifyCopy(
  directory: string,
  manifest: VerifiedManifest,
  signal: AbortSignal | undefined,
): Promise<CopyIdentity> {
  const summary = await readSummary(`${directory}/backup_manifest`, signal)
  if (summary?.checksum === manifest.checksum) return { directory, backup: 'same' }
  const other = summary?.systemIdentifier ?? systemIdentifierIn(directory)
  const isOtherCluster =
    other !== undefined &&
    manifest.systemIdentifier !== null &&
    other.toString() !== manifest.systemIdentifier
  if (isOtherCluster) return { directory, backup: 'other-cluster' }
  return { directory, backup: summary === undefined ? 'unknown' : 'other-backup' }
}

async function readSummary(
  path: string,
  signal: AbortSignal | undefined,
): Promise<ManifestSummary | undefined> {
  if (!existsSync(path)) return undefined
  try {
    const handler = { file: () => {}, walRange: () => {} }
    return await scanManifest(await openManifest(path), handler, { ...(signal && { signal }) })
  } catch (error) {
    if (!isPbManifestError(error) || error.code === 'ABORTED') throw error
    return undefined
  }
}

function systemIdentifierIn(directory: string): bigint | undefined {
  try {
    return readControlFile(directory)?.systemIdentifier
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}
