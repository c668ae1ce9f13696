import { chmodSync, mkdirSync } from 'node:fs'
import { type FileHandle, mkdir, open, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, type SyncMethod, writeFully, writeNewFile } from '../files/durable-file.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { UNFINISHED_MANIFEST } from '../manifest/contents/made-by-backup.js'
import type { BackupTarget, FilePlace, TargetContents, TargetEntry } from './backup-target.js'
import { DirectorySink } from './directory-sink.js'
import type { FileSink, SegmentFile, WalFiles } from './file-sink.js'
import { writeRecoverySettings } from './recovery-settings.js'
import type { TargetDirectory, TargetTablespace } from './target-directory.js'
import type { WalFileName } from '../postgres/wal-segment.js'

interface DirectoryTargetOptions {
  /** Of the files that are made here. */
  readonly fileMode: number
  /** Whether they become durable. */
  readonly sync: boolean
  /** Whether, in addition, each file of the workers is made durable by itself. */
  readonly syncsFiles: boolean
  /** What `-R` adds to postgresql.auto.conf, with an empty standby.signal beside it. */
  readonly recoverySettings: string | undefined
}

/** A backup in plain format: a directory that a server can start on. */
export class DirectoryTarget implements BackupTarget {
  readonly path: string
  readonly tablespaces: readonly TargetTablespace[]
  readonly files: FilePlace
  readonly wal: WalFiles
  readonly hasTablespaceMap = false
  readonly #directory: TargetDirectory
  readonly #options: DirectoryTargetOptions

  constructor(directory: TargetDirectory, options: DirectoryTargetOptions) {
    this.path = directory.path
    this.tablespaces = directory.tablespaces
    this.files = { kind: 'directory', directory: directory.path, sync: options.syncsFiles }
    this.wal = new WalDirectory({ ...options, directory: `${directory.path}/pg_wal` })
    this.#directory = directory
    this.#options = options
  }

  shownPath(pathname: Pathname): string {
    return displayPathname(`${this.path}/${pathname}`)
  }

  async mark(backupId: string): Promise<void> {
    await this.#directory.mark(backupId)
  }

  async begin({ directories }: TargetContents): Promise<void> {
    for (const directory of directories) this.#makeDirectory(directory)
  }

  async addFile(pathname: SafePathname, content: Buffer): Promise<void> {
    await this.#write(`${this.path}/${pathname}`, [content])
  }

  async addManifest(chunks: AsyncIterable<Buffer>): Promise<number> {
    return await this.#write(`${this.path}/${UNFINISHED_MANIFEST}`, chunks)
  }

  openSink(): FileSink {
    return new DirectorySink(this.path, { sync: this.#options.syncsFiles })
  }

  async complete({ sync }: { readonly sync: SyncMethod | undefined }): Promise<void> {
    const { recoverySettings: settings } = this.#options
    if (settings !== undefined) await writeRecoverySettings(this.path, settings, this.#options)
    await this.#directory.complete({ sync })
  }

  async publish({ sync }: { readonly sync: boolean }): Promise<string> {
    return await publishManifest(this.path, { sync })
  }

  async abandon(): Promise<void> {}

  async remove(): Promise<readonly string[]> {
    return await this.#directory.remove()
  }

  async #write(path: string, chunks: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<number> {
    const { fileMode: mode, sync } = this.#options
    return await writeNewFile(path, chunks, { mode, sync })
  }

  #makeDirectory({ pathname, mode }: TargetEntry): void {
    const path = pathOf(this.path, pathname)
    try {
      mkdirSync(path, { mode })
      chmodSync(path, mode)
    } catch (error) {
      // pg_tblspc is there with its links, and pg_wal may be there with WAL.
      if (describeSystemError(error)?.code === 'EEXIST') return
      throw ioError(`could not create directory "${displayPathname(`${this.path}/${pathname}`)}"`, error)
    }
  }
}

/**
 * Gives the manifest in a directory its name.
 *
 * @returns its path
 */
export async function publishManifest(
  directory: string,
  { sync }: { readonly sync: boolean },
): Promise<string> {
  const path = `${directory}/backup_manifest`
  const unfinished = `${directory}/${UNFINISHED_MANIFEST}`
  try {
    await rename(unfinished, path)
    if (sync) await syncDirectory(directory)
    return path
  } catch (error) {
    throw ioError(`could not rename file "${unfinished}" to "${path}"`, error)
  }
}

interface WalDirectoryOptions {
  /** The pg_wal of the backup. */
  readonly directory: string
  /** 0600, or 0640 where the server's group may read. */
  readonly fileMode: number
  /** Whether files become durable. */
  readonly sync: boolean
}

/**
 * WAL in the pg_wal of a backup in plain format: each file under its own name at once, of full size. A file that is whole gets its
 * `.done`, so that a server that starts on the backup does not archive it again.
 */
export class WalDirectory implements WalFiles {
  readonly #options: WalDirectoryOptions

  constructor(options: WalDirectoryOptions) {
    this.#options = options
  }

  async prepare(): Promise<void> {
    const { directory, fileMode } = this.#options
    const path = join(directory, 'archive_status')
    try {
      await mkdir(path, { recursive: true, mode: fileMode === 0o640 ? 0o750 : 0o700 })
    } catch (error) {
      throw ioError(`could not create directory "${path}"`, error)
    }
  }

  async createSegment(name: WalFileName, size: number): Promise<SegmentFile> {
    const { directory, fileMode, sync } = this.#options
    const path = join(directory, name)
    let handle: FileHandle | undefined
    try {
      handle = await open(path, 'wx', fileMode)
      // Against the umask. The size at once, so that the file never has another.
      await handle.chmod(fileMode)
      await handle.truncate(size)
      return new SegmentInDirectory(path, handle, sync)
    } catch (error) {
      await handle?.close()
      throw ioError(`could not create WAL file "${path}"`, error)
    }
  }

  /** It came in another way than by a stream, and is marked as archived, as the server's own base backup does. */
  async writeWhole(name: WalFileName, content: Buffer): Promise<void> {
    const { directory, fileMode: mode, sync } = this.#options
    await writeNewFile(join(directory, name), [content], { mode, sync })
    await this.markDone(name)
  }

  async markDone(name: WalFileName): Promise<void> {
    const { directory, fileMode: mode } = this.#options
    const path = join(directory, 'archive_status', `${name}.done`)
    try {
      await writeFile(path, '', { flag: 'wx', mode })
    } catch (error) {
      throw ioError(`could not create file "${path}"`, error)
    }
  }
}

class SegmentInDirectory implements SegmentFile {
  readonly path: string
  readonly #handle: FileHandle
  readonly #sync: boolean

  constructor(path: string, handle: FileHandle, sync: boolean) {
    this.path = path
    this.#handle = handle
    this.#sync = sync
  }

  async write(bytes: Buffer): Promise<void> {
    await writeFully(this.#handle, bytes)
  }

  async sync(): Promise<void> {
    if (this.#sync) await this.#handle.sync()
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}
