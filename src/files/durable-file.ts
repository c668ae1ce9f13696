import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, realpath, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PbManifestError } from '../errors.js'
import { ioError, isNotThere } from './system-error.js'

/** As PostgreSQL makes the files of a backup: for their owner only. */
const MODE = 0o600

const MAX_NAME_BYTES = 255

/**
 * A file that appears whole and durable, or not at all.
 *
 * The bytes go to a temporary file beside it; `commit` syncs, renames, and syncs the directory. Whoever creates one
 * calls `commit` or `discard`.
 */
export class DurableFile {
  readonly #path: string
  readonly #temporaryPath: string
  readonly #handle: FileHandle

  private constructor(path: string, temporaryPath: string, handle: FileHandle) {
    this.#path = path
    this.#temporaryPath = temporaryPath
    this.#handle = handle
  }

  /**
   * Opens the temporary file.
   *
   * @param mode - for a file that others may read; what the umask has is taken from it
   * @throws {@link PbManifestError} `IO`, also when `path` is there and is no regular file
   */
  static async create(path: string, mode: number = MODE): Promise<DurableFile> {
    const target = await resolveTarget(path)
    const temporaryPath = temporaryPathBeside(target)
    try {
      const handle = await open(
        temporaryPath,
        constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
        mode,
      )
      return new DurableFile(target, temporaryPath, handle)
    } catch (error) {
      throw ioError(`could not create file "${temporaryPath}"`, error)
    }
  }

  /** Appends. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await writeFully(this.#handle, bytes)
    } catch (error) {
      throw ioError(`could not write file "${this.#temporaryPath}"`, error)
    }
  }

  /** Makes the file durable under its name. When this fails, `discard` is still due. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync()
      await this.#handle.close()
      await rename(this.#temporaryPath, this.#path)
      await syncDirectory(dirname(this.#path))
    } catch (error) {
      throw ioError(`could not write file "${this.#path}"`, error)
    }
  }

  /** Removes the temporary file. Never throws: there is an error on its way already. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(ignore)
    await unlink(this.#temporaryPath).catch(ignore)
  }
}

/** Writes all of the bytes: one `write` may take only a part of them, on a disk that is nearly full. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at)
    at += bytesWritten
  }
}

/**
 * Creates a file with these bytes, under its own name at once.
 *
 * @param mode - what it gets, whatever the umask
 * @returns how many bytes they were
 * @throws {@link PbManifestError} `IO`, also when it exists; or what the chunks throw
 */
export async function writeNewFile(
  path: string,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  { mode, sync }: { readonly mode: number; readonly sync: boolean },
): Promise<number> {
  let handle: FileHandle | undefined
  let bytes = 0
  try {
    handle = await open(path, 'wx', mode)
    await handle.chmod(mode)
    for await (const chunk of chunks) {
      await writeFully(handle, chunk)
      bytes += chunk.length
    }
    if (sync) await handle.sync()
  } catch (error) {
    throw ioError(`could not write file "${path}"`, error)
  } finally {
    await handle?.close()
  }
  return bytes
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string | Buffer): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A name that shows what it is of, however long that one is: no file system takes a name of more than 255 bytes. */
function temporaryPathBeside(path: string): string {
  const suffix = `.${randomBytes(6).toString('hex')}.tmp`
  const name = basename(path)
  const longest = MAX_NAME_BYTES - suffix.length
  const shown = Buffer.byteLength(name) <= longest ? name : 'pbmanifest'
  return join(dirname(path), `${shown}${suffix}`)
}

/** Follows a link, so that it is its target that is replaced, and keeps devices and FIFOs from being replaced. */
async function resolveTarget(path: string): Promise<string> {
  try {
    const stats = await lstat(path)
    if (stats.isSymbolicLink()) return await resolveTarget(await realpath(path))
    if (stats.isFile()) return path
    throw new PbManifestError('IO', `could not write file "${path}": it exists and is not a regular file`)
  } catch (error) {
    if (isNotThere(error)) return path
    throw ioError(`could not write file "${path}"`, error)
  }
}

function ignore(): void {
  // Nothing can be done about it, and the first error is the one to report.
}

const run = promisify(execFile)

/** All that a {@link SyncMethod} can be. */
export const syncMethods = ['fsync', 'syncfs'] as const

/** How a backup is made durable: file by file, or by having Linux write out all of the file systems that it is on. */
export type SyncMethod = (typeof syncMethods)[number]

/**
 * Has Linux write out all of the file system that a directory is on. Node has no syncfs(2): `sync` of coreutils or BusyBox
 * calls it. What the system could not write since it was synced last is an error.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function syncFileSystem(directory: string): Promise<void> {
  try {
    await run('sync', ['-f', '--', directory], { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } })
  } catch (error) {
    const { stderr = '', message } = error as Error & { readonly stderr?: string }
    const reason = stderr.trim().split('\n').at(-1) || message
    throw new PbManifestError('IO', `could not synchronize file system for file "${directory}": ${reason}`, {
      cause: error,
    })
  }
}
