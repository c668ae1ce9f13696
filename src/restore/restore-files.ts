import { chmodSync, mkdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { posix } from 'node:path'
import { PbManifestError } from '../errors.js'
import { writeFully } from '../files/durable-file.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { requireSafePathname, type SafePathname } from '../files/safe-pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { throwIfAborted } from '../files/yielder.js'
import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../manifest/checksum/file-hasher.js'
import { badManifestError } from '../manifest/manifest-error.js'
import { CONTROL_FILE, everNeededDirectories, TABLESPACE_MAP } from '../postgres/data-directory.js'
import { type SourceFile, SourceReadError } from '../source/backup-source.js'
import type { FileTable } from '../verify/file-table/file-table.js'
import { filesWrittenLater } from '../verify/ignore-rules.js'
import type { OpenedBackup } from './open-backup.js'
import type { RestoreOptions } from './options.js'

/** Files that are restored beside each other. */
const MOST_LANES = 16

/**
 * What no manifest lists and belongs to a backup: WAL, and what says what it is, as far as it is archived already; settings and
 * signals that were written into it afterwards, as pg_basebackup -R does.
 */
export const unlistedFiles: RegExp = new RegExp(
  `^(?:pg_wal/(?:[0-9A-F]{24}(?:\\.partial|\\.[0-9A-F]{8}\\.backup)?|[0-9A-F]{8}\\.history|archive_status/[0-9A-F]{8,24}[.a-z0-9A-F]*\\.done)|${filesWrittenLater.join('|').replaceAll('.', '\\.')})$`,
)

/** What is restored where. */
export interface FileRestore {
  readonly backup: OpenedBackup
  /** The data directory; its tablespaces are linked already. */
  readonly directory: string
  /** Whether tablespace_map is left out, because the links are not where it says. */
  readonly leavesMapOut: boolean
  readonly jobs: number
  readonly options: RestoreOptions
  /** Fires when somebody else has failed. */
  readonly stop: AbortController
}

/** What was restored. */
export interface RestoredFiles {
  files: number
  bytes: number
  unlistedFiles: number
  /** Of the manifest's files, by the manifest's algorithms. */
  readonly checksums: Map<Pathname, string>
  /** By the algorithm that was asked for; empty when none was. */
  readonly newChecksums: Map<Pathname, string>
}

/**
 * Writes the files of a backup, and compares each with the manifest meanwhile. What cannot be read, is missing or differs ends it.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO` or `ABORTED`: the first reason
 */
export async function restoreFiles(restore: FileRestore): Promise<RestoredFiles> {
  const { backup, jobs, stop } = restore
  makeDirectories(restore)
  const writer = new FileWriter(restore)
  const lanes = backup.source.lanes(wantedOf(restore), Math.min(jobs, MOST_LANES), unlistedFiles)
  let failure: { readonly error: unknown } | undefined
  const fail = (error: unknown): void => {
    failure ??= { error }
    stop.abort()
  }
  await Promise.all(lanes.map((lane) => writer.writeAll(lane).catch(fail)))
  if (failure === undefined) return writer.restored
  const { error } = failure
  throw error instanceof SourceReadError
    ? new PbManifestError('IO', `could not read ${error.message}`)
    : error
}

/** In the order of the manifest; pg_control last, as in a backup of a server's own. */
function* wantedOf({ backup, leavesMapOut }: FileRestore): Generator<SafePathname, void, undefined> {
  const { table } = backup.manifest
  let control: SafePathname | undefined
  for (let row = 0; row < table.rows; row++) {
    const pathname = requireSafePathname(table.pathname(row), badManifestError)
    if (pathname === CONTROL_FILE) control = pathname
    else if (!leavesMapOut || pathname !== TABLESPACE_MAP) yield pathname
  }
  if (control !== undefined) yield control
}

/** Those that a server cannot do without, and those of the files. */
export function makeDirectories({ backup, directory }: Pick<FileRestore, 'backup' | 'directory'>): void {
  const { table } = backup.manifest
  const directories = new Set<Pathname>(['pg_wal/archive_status', ...everNeededDirectories])
  const addWithParents = (pathname: Pathname): void => {
    for (let parent = posix.dirname(pathname); parent !== '.' && !directories.has(parent);) {
      directories.add(parent)
      parent = posix.dirname(parent)
    }
  }
  for (let row = 0; row < table.rows; row++) {
    addWithParents(requireSafePathname(table.pathname(row), badManifestError))
  }
  for (const pathname of [...directories].toSorted())
    makeDirectory(directory, pathname, backup.hasGroupAccess)
}

/** Makes a directory, if it is not there. @throws {@link PbManifestError} `IO` */
export function makeDirectory(root: string, pathname: Pathname, hasGroupAccess: boolean): void {
  const path = pathOf(root, pathname)
  const mode = hasGroupAccess ? 0o750 : 0o700
  try {
    mkdirSync(path, { mode })
    // Against the umask, as PostgreSQL does.
    chmodSync(path, mode)
  } catch (error) {
    if (describeSystemError(error)?.code === 'EEXIST') return
    throw ioError(`could not create directory "${displayPathname(pathname)}"`, error)
  }
}

/** A checksum that is computed while a file is written. */
type Hashers = Map<RealChecksumAlgorithm, FileHasher>

class FileWriter {
  readonly restored: RestoredFiles = {
    files: 0,
    bytes: 0,
    unlistedFiles: 0,
    checksums: new Map(),
    newChecksums: new Map(),
  }
  readonly #restore: FileRestore
  readonly #table: FileTable
  readonly #bytesTotal: number
  #bytesDone = 0

  constructor(restore: FileRestore) {
    this.#restore = restore
    this.#table = restore.backup.manifest.table
    this.#bytesTotal = restore.backup.manifest.bytes
  }

  async writeAll(lane: AsyncIterable<SourceFile>): Promise<void> {
    const hashers: Hashers = new Map()
    for await (const file of lane) {
      throwIfAborted(this.#restore.stop.signal)
      await this.#take(file, hashers)
    }
  }

  async #take(file: SourceFile, hashers: Hashers): Promise<void> {
    const { pathname } = file
    const shown = displayPathname(pathname)
    const row = this.#table.find(pathname)
    const mayDiffer = unlistedOrLater(pathname)
    if (file.type === 'absent') {
      if (!mayDiffer)
        throw new PbManifestError('IO', `"${shown}" is present in the manifest but not in the backup`)
      return this.#restore.options.onNotice?.(`"${shown}" is present in the manifest but not in the backup`)
    }
    if (file.type === 'unreadable') {
      throw new PbManifestError('IO', `could not read file "${shown}" of the backup: ${file.message}`)
    }
    const isCompared = row !== -1 && !mayDiffer
    if (isCompared && file.size !== this.#table.size(row)) throw this.#wrongSize(shown, file.size, row)
    await this.#write(file, isCompared ? row : undefined, hashers)
    if (row === -1) this.restored.unlistedFiles++
    else this.restored.files++
  }

  async #write(
    file: SourceFile & { readonly type: 'file' },
    row: number | undefined,
    hashers: Hashers,
  ): Promise<void> {
    const { backup, directory, options, stop } = this.#restore
    const { pathname } = file
    const shown = displayPathname(pathname)
    const own = row === undefined ? undefined : this.#table.algorithm(row)
    const wanted = options.manifestChecksums === 'NONE' ? undefined : options.manifestChecksums
    const used = await hashersOf(hashers, [own, wanted])
    let handle: FileHandle | undefined
    let bytes = 0
    try {
      const mode = backup.hasGroupAccess ? 0o640 : 0o600
      handle = await open(pathOf(directory, pathname), 'wx', mode)
      await handle.chmod(mode)
      for await (const chunk of file.chunks()) {
        throwIfAborted(stop.signal)
        bytes += chunk.length
        if (row !== undefined && bytes > this.#table.size(row)) throw this.#wrongSize(shown, bytes, row)
        for (const hasher of used) hasher.update(chunk)
        await writeFully(handle, chunk)
        if (row !== undefined) this.#count(chunk.length)
      }
      await handle.utimes(file.modified, file.modified)
      if (options.sync !== false) await handle.sync()
    } catch (error) {
      if (error instanceof SourceReadError) {
        const { message, detail } = error
        throw new PbManifestError('IO', `could not read file "${shown}" of the backup: ${message}`, {
          details: detail === undefined ? [] : [detail],
        })
      }
      throw ioError(`could not write file "${shown}"`, error)
    } finally {
      await handle?.close()
    }
    if (row !== undefined && bytes !== this.#table.size(row)) throw this.#wrongSize(shown, bytes, row)
    if (row === undefined && bytes !== file.size) {
      throw new PbManifestError('IO', `"${shown}" of the backup has changed while it was read`)
    }
    this.restored.bytes += row === undefined ? 0 : bytes
    this.#compare(pathname, row, [own, wanted], hashers)
  }

  #compare(
    pathname: Pathname,
    row: number | undefined,
    [own, wanted]: readonly [RealChecksumAlgorithm | undefined, RealChecksumAlgorithm | undefined],
    hashers: Hashers,
  ): void {
    const digest = own === undefined ? undefined : hashers.get(own)?.digest()
    if (row !== undefined && digest !== undefined) {
      if (digest !== this.#table.checksum(row)) {
        throw new PbManifestError(
          'IO',
          `checksum mismatch for file "${displayPathname(pathname)}" of the backup`,
          {
            hint: 'Use pbmanifest verify to see all that is wrong with the backup.',
          },
        )
      }
      this.restored.checksums.set(pathname, digest)
    }
    if (wanted === undefined) return
    const digestOfWanted = wanted === own ? digest : hashers.get(wanted)?.digest()
    if (digestOfWanted !== undefined) this.restored.newChecksums.set(pathname, digestOfWanted)
  }

  #count(bytes: number): void {
    this.#bytesDone += bytes
    const bytesTotal = this.#bytesTotal
    this.#restore.options.onProgress?.({ bytesDone: Math.min(this.#bytesDone, bytesTotal), bytesTotal })
  }

  #wrongSize(shown: string, size: number, row: number): PbManifestError {
    const message = `"${shown}" has size ${size} in the backup but size ${this.#table.size(row)} in the manifest`
    return new PbManifestError('IO', message)
  }
}

/** Whether a file may be another one than that of the manifest, or not be in it. */
function unlistedOrLater(pathname: Pathname): boolean {
  return pathname.startsWith('pg_wal/') || (filesWrittenLater as readonly string[]).includes(pathname)
}

async function hashersOf(
  hashers: Hashers,
  algorithms: readonly (RealChecksumAlgorithm | undefined)[],
): Promise<FileHasher[]> {
  const used: FileHasher[] = []
  for (const algorithm of new Set(algorithms)) {
    if (algorithm === undefined) continue
    const hasher = hashers.get(algorithm) ?? (await createFileHasher(algorithm, 'unknown'))
    hashers.set(algorithm, hasher)
    hasher.reset()
    used.push(hasher)
  }
  return used
}
