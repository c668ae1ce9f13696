import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { posix } from 'node:path'
import { writeFully } from '../files/durable-file.js'
import { displayPathname, encodePathname, type Pathname, pathOf } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'

const ENDING = '.pbmanifest-repair'
const leftover = /\.[0-9a-f]{12}\.pbmanifest-repair$/

const MAX_NAME_BYTES = 255

/** Whether a file of this name is what a repair that was killed has left. */
export function isLeftover(name: Pathname): boolean {
  return leftover.test(name)
}

/** Modes and owner of what is written. */
export interface Access {
  readonly fileMode: number
  /** `undefined`: ourselves. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
}

/**
 * A file that takes the place of another one, or of none, when it is known to be good: until then it is beside it, under a name
 * that {@link isLeftover} knows.
 *
 * Unlike a `DurableFile` it takes the place of a link itself, not of what that leads to: which may be anybody's.
 */
export class ReplacementFile {
  readonly #directory: string
  readonly #pathname: SafePathname
  readonly #temporary: SafePathname
  readonly #handle: FileHandle
  #isOpen = true

  private constructor(
    directory: string,
    pathname: SafePathname,
    temporary: SafePathname,
    handle: FileHandle,
  ) {
    this.#directory = directory
    this.#pathname = pathname
    this.#temporary = temporary
    this.#handle = handle
  }

  /** @throws {@link PbManifestError} `IO` */
  static async create(
    directory: string,
    pathname: SafePathname,
    { fileMode, owner }: Access,
  ): Promise<ReplacementFile> {
    const temporary = temporaryBeside(pathname)
    let handle: FileHandle | undefined
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
      handle = await open(pathOf(directory, temporary), flags, fileMode)
      await handle.chmod(fileMode)
      if (owner !== undefined) await handle.chown(owner.uid, owner.gid)
      return new ReplacementFile(directory, pathname, temporary, handle)
    } catch (error) {
      await handle?.close()
      if (handle !== undefined) await unlink(pathOf(directory, temporary))
      throw ioError(`could not create file "${displayPathname(temporary)}"`, error)
    }
  }

  /** Where its bytes are until it is in its place. */
  get temporaryPathname(): SafePathname {
    return this.#temporary
  }

  /** Appends. @throws {@link PbManifestError} `IO` */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await writeFully(this.#handle, bytes)
    } catch (error) {
      throw this.#error(error)
    }
  }

  /** Makes the bytes durable, still under the temporary name. @throws {@link PbManifestError} `IO` */
  async finish(modified: Date): Promise<void> {
    try {
      await this.#handle.utimes(modified, modified)
      await this.#handle.sync()
      this.#isOpen = false
      await this.#handle.close()
    } catch (error) {
      throw this.#error(error)
    }
  }

  /** Puts it in its place, after {@link finish}; the directory is still to be synced. @throws {@link PbManifestError} `IO` */
  async commit(): Promise<void> {
    try {
      await rename(pathOf(this.#directory, this.#temporary), pathOf(this.#directory, this.#pathname))
    } catch (error) {
      throw this.#error(error)
    }
  }

  /** Removes it. Never throws: there is a reason on its way already. */
  async discard(): Promise<void> {
    if (this.#isOpen) await this.#handle.close().catch(ignore)
    this.#isOpen = false
    await unlink(pathOf(this.#directory, this.#temporary)).catch(ignore)
  }

  #error(error: unknown): unknown {
    return ioError(`could not write file "${displayPathname(this.#pathname)}"`, error)
  }
}

function temporaryBeside(pathname: SafePathname): SafePathname {
  const suffix = `.${randomBytes(6).toString('hex')}${ENDING}`
  const { dir, base } = posix.parse(pathname)
  const isLong = encodePathname(base).length + suffix.length > MAX_NAME_BYTES
  const name = `${isLong ? 'pbmanifest' : base}${suffix}`
  return ownPathname(dir === '' ? name : `${dir}/${name}`)
}

function ignore(): void {
  // Nothing can be done about it.
}
