import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { writeFully } from '../files/durable-file.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'
import { throwIfAborted } from '../files/yielder.js'
import { type BackupSource, type SourceFile, SourceReadError } from '../source/backup-source.js'
import { commandPlace, fetchManifest } from '../source/command/command-place.js'
import type { FetchOptions } from '../source/command/fetch-command.js'
import { parsePositiveUnsignedInt32 } from '../postgres/unsigned-int.js'
import { remoteArchive } from '../source/tar/archive-place.js'
import { archivesIn, openTarSource } from '../source/tar/tar-source.js'
import { openDirectorySource } from '../source/directory-source.js'
import { detectBackupFormat } from '../verify/detect-backup-format.js'
import type { FileTable } from '../verify/file-table/file-table.js'
import type { RepairOptions } from './options.js'
import type { RepairPlan } from './plan-repair.js'

const MANIFEST = ownPathname('backup_manifest')

const segments = /^pg_wal\/[0-9A-F]{24}$/
/** PostgreSQL has no longer ones. */
const MAX_SEGMENT_BYTES = 1024 ** 3

/**
 * A copy in archives, of which what a repair needs is unpacked into a directory of our own, in TMPDIR; there it is as in a copy in
 * plain format. Nothing in it is trusted either.
 */
export class UnpackedCopy {
  /** As it is shown. */
  readonly shown: string
  readonly directory: string
  /** Of files that could not be unpacked: why. */
  readonly failures: Map<Pathname, string> = new Map()
  readonly #open: (wanted: readonly Pathname[]) => BackupSource
  readonly #jobs: number
  readonly #signal: AbortSignal | undefined

  private constructor(
    shown: string,
    open: (wanted: readonly Pathname[]) => BackupSource,
    { jobs = 1, signal }: RepairOptions,
  ) {
    this.shown = shown
    this.#open = open
    this.#jobs = jobs
    this.#signal = signal
    this.directory = mkdtempSync(join(tmpdir(), 'pbmanifest-copy-'))
  }

  /**
   * Begins with its manifest, where it has one.
   *
   * @returns `undefined` for a copy in plain format, which is taken as it is
   * @throws {@link PbManifestError} `IO`, `USAGE` or `ABORTED`
   */
  static async of(options: RepairOptions): Promise<UnpackedCopy | undefined> {
    const { from, signal } = options
    if (typeof from !== 'string') return await UnpackedCopy.#fetched(from, options)
    if (!isDirectory(from) || detectBackupFormat(from) === 'plain') return undefined
    const set = { shown: from, archives: archivesIn(from), place: undefined, signal }
    const copy = new UnpackedCopy(from, () => openTarSource(set), options)
    for await (const file of openDirectorySource(from).files([MANIFEST])) await copy.#write(file, undefined)
    return copy
  }

  static async #fetched(
    { fetchCommand, fetchTimeoutSeconds }: Exclude<RepairOptions['from'], string>,
    options: RepairOptions,
  ): Promise<UnpackedCopy> {
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
    const copy = new UnpackedCopy(fetchCommand, open, options)
    const chunks = (): AsyncIterable<Buffer> => fetchManifest(fetching, MANIFEST, signal)
    try {
      await copy.#writeChunks(MANIFEST, chunks())
    } catch (error) {
      copy.remove()
      throw error
    }
    return copy
  }

  /** Unpacks what is to be repaired. @throws {@link PbManifestError} `IO` or `ABORTED` */
  async unpack({ files, wal }: RepairPlan, table: FileTable): Promise<void> {
    const wanted = files.map(({ pathname }) => pathname)
    if (wanted.length === 0 && wal.length === 0) return
    const safe = new Map<Pathname, SafePathname>(wanted.map((pathname) => [pathname, pathname]))
    const lanes = this.#open(wanted).lanes(wanted, this.#jobs, wal.length > 0 ? segments : undefined)
    const taken = lanes.map(async (lane) => {
      try {
        for await (const file of lane) {
          throwIfAborted(this.#signal)
          const { pathname } = file
          const size = safe.has(pathname) ? table.size(table.find(pathname)) : undefined
          if (safe.has(pathname) || segments.test(pathname)) await this.#write(file, size)
        }
      } catch (error) {
        // Of an archive with WAL; of files, it is known which they are.
        if (!(error instanceof SourceReadError)) throw error
      }
    })
    const failed = (await Promise.allSettled(taken)).find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** @param size - what it should have; of another one, the size is enough */
  async #write(file: SourceFile, size: number | undefined): Promise<void> {
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

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    // Who opens it says why.
    return false
  }
}
