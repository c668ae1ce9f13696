import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFully, writeNewFile } from '../files/durable-file.js'
import { ioError } from '../files/system-error.js'
import type { WalFileName } from '../postgres/wal-segment.js'
import type { SegmentFile, WalFiles } from './wal-files.js'

export interface WalDirectoryOptions {
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
