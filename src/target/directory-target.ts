import { chmodSync, mkdirSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { syncDirectory, type SyncMethod, writeNewFile } from '../files/durable-file.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { UNFINISHED_MANIFEST } from '../manifest/contents/made-by-backup.js'
import type { BackupTarget, FilePlace, TargetContents, TargetEntry } from './backup-target.js'
import { DirectorySink } from './directory-sink.js'
import type { FileSink } from './file-sink.js'
import { writeRecoverySettings } from './recovery-settings.js'
import type { TargetDirectory, TargetTablespace } from './target-directory.js'
import { WalDirectory } from './wal-directory.js'
import type { WalFiles } from './wal-files.js'

export interface DirectoryTargetOptions {
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
