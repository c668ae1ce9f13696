import { lstatSync, readdirSync, realpathSync, type Stats, statSync } from 'node:fs'
import { lchown, mkdir, rmdir, unlink } from 'node:fs/promises'
import { posix, sep } from 'node:path'
import { isPbManifestError } from '../errors.js'
import { syncDirectory } from '../files/durable-file.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { describeSystemError, ioError, isNotThere } from '../files/system-error.js'
import type { StatedLink } from './options.js'
import type { Reason } from './report.js'
import { type Access, ReplacementFile } from './replacement-file.js'

/** The links that PostgreSQL itself makes in a data directory. */
const linkOfPostgres = /^(?:pg_wal|pg_tblspc\/[1-9][0-9]*)$/

/**
 * The directory of a backup that is repaired: makes room in it, and writes nowhere but in it and behind the links of which that
 * was said.
 */
export class RepairedDirectory {
  readonly path: string
  readonly #links: ReadonlyMap<Pathname, string>
  readonly #writes: boolean
  readonly #access: Access
  readonly #directoryMode: number
  /** Whether there is, or could be made, a directory of this name. */
  readonly #known = new Map<Pathname, Promise<Reason | undefined>>()
  readonly #changed = new Set<Pathname>()

  /** @throws {@link PbManifestError} `IO` */
  constructor(path: string, links: readonly StatedLink[], writes: boolean) {
    this.path = path
    this.#links = new Map(links.map(({ pathname, directory }) => [pathname, directory]))
    this.#writes = writes
    const { mode, uid, gid } = statOf(path)
    // As the server: what is there for the group as well when the data directory is.
    this.#access = {
      fileMode: 0o600 | (mode & 0o040),
      owner: process.getuid?.() === 0 ? { uid, gid } : undefined,
    }
    this.#directoryMode = 0o700 | (mode & 0o050)
  }

  /**
   * Makes the directory of a file, and says whether the file can take its place there.
   *
   * @returns why not
   */
  async makeRoomFor(pathname: SafePathname): Promise<Reason | undefined> {
    const parent = posix.dirname(pathname)
    const reason = parent === '.' ? undefined : await this.makeDirectory(ownPathname(parent))
    return reason ?? (this.#isFullDirectory(pathname) ? fullDirectory(pathname) : undefined)
  }

  /** Makes a directory with all above it, if it is not there. @returns why it cannot be made */
  makeDirectory(pathname: SafePathname): Promise<Reason | undefined> {
    const known = this.#known.get(pathname)
    if (known !== undefined) return known
    const made = this.#makeDirectory(pathname).catch((error: unknown) => writeFailed(error))
    this.#known.set(pathname, made)
    return made
  }

  async #makeDirectory(pathname: SafePathname): Promise<Reason | undefined> {
    const parent = posix.dirname(pathname)
    const reason = parent === '.' ? undefined : await this.makeDirectory(ownPathname(parent))
    if (reason !== undefined) return reason
    const stats = this.#look(pathname)
    if (stats?.isDirectory() === true) return undefined
    if (stats?.isSymbolicLink() === true) return this.#whyNotThrough(pathname)
    if (stats === undefined && pathname.startsWith('pg_tblspc/') && linkOfPostgres.test(pathname)) {
      return this.#links.has(pathname) ? undefined : missingLink(pathname)
    }
    if (stats?.isFile() === true && stats.size > 0) {
      const message = `"${displayPathname(pathname)}" is a file where a directory has to be`
      return { kind: 'in-the-way', message, hint: 'Move it away, out of the backup.' }
    }
    if (!this.#writes) return undefined
    // What has no content of its own is lost without loss.
    try {
      if (stats !== undefined) await unlink(pathOf(this.path, pathname))
      await mkdir(pathOf(this.path, pathname), { mode: this.#directoryMode })
      await this.#own(pathname)
    } catch (error) {
      throw ioError(`could not create directory "${displayPathname(pathname)}"`, error)
    }
    this.#changed.add(parent)
    return undefined
  }

  async #own(pathname: SafePathname): Promise<void> {
    const { owner } = this.#access
    if (owner !== undefined) await lchown(pathOf(this.path, pathname), owner.uid, owner.gid)
  }

  /** Begins a file that is to take its place, after {@link makeRoomFor}. @throws {@link PbManifestError} `IO` */
  async create(pathname: SafePathname): Promise<ReplacementFile> {
    return await ReplacementFile.create(this.path, pathname, this.#access)
  }

  /** Puts a finished file in its place. @throws {@link PbManifestError} `IO` */
  async put(pathname: SafePathname, file: ReplacementFile): Promise<void> {
    if (this.#look(pathname)?.isDirectory() === true) {
      await rmdir(pathOf(this.path, pathname)).catch((error: unknown) => {
        throw ioError(`could not remove directory "${displayPathname(pathname)}"`, error)
      })
    }
    await file.commit()
    this.#changed.add(posix.dirname(pathname))
  }

  /** Removes a file. @throws {@link PbManifestError} `IO` */
  async remove(pathname: SafePathname): Promise<void> {
    try {
      await unlink(pathOf(this.path, pathname))
    } catch (error) {
      if (!isNotThere(error)) throw ioError(`could not remove file "${displayPathname(pathname)}"`, error)
    }
  }

  /** Makes all that was put in its place durable. @throws {@link PbManifestError} `IO` */
  async sync(): Promise<void> {
    for (const pathname of this.#changed) {
      try {
        await syncDirectory(pathOf(this.path, pathname))
      } catch (error) {
        throw ioError(`could not fsync directory "${displayPathname(pathname)}"`, error)
      }
    }
    this.#changed.clear()
  }

  /** The entry itself: a link is a link. @throws {@link PbManifestError} `IO` */
  #look(pathname: Pathname): Stats | undefined {
    try {
      return lstatSync(pathOf(this.path, pathname))
    } catch (error) {
      // ENOTDIR: what is to be a directory is a file, which has not made room yet.
      if (['ENOENT', 'ENOTDIR'].includes(describeSystemError(error)?.code ?? '')) return undefined
      throw ioError(`could not stat file or directory "${displayPathname(pathname)}"`, error)
    }
  }

  #isFullDirectory(pathname: SafePathname): boolean {
    try {
      if (this.#look(pathname)?.isDirectory() !== true) return false
      return readdirSync(pathOf(this.path, pathname)).length > 0
    } catch {
      // Who tries to write there learns why.
      return false
    }
  }

  #whyNotThrough(pathname: SafePathname): Reason | undefined {
    const shown = displayPathname(pathname)
    if (!linkOfPostgres.test(pathname)) {
      const message = `"${shown}" is a symbolic link, and nothing is written through it`
      return { kind: 'link', message, hint: 'Only links of pg_wal and of tablespaces are followed.' }
    }
    const stated = this.#links.get(pathname)
    // Where nothing is written, it is not led there either.
    if (stated !== undefined && !this.#writes) return undefined
    const place = realpathOf(pathOf(this.path, pathname))
    const option = optionOf(pathname)
    if (place === undefined) {
      const hint = `Say where it is to lead: ${option}=DIRECTORY.`
      return { kind: 'link', message: `"${shown}" is a symbolic link that leads nowhere`, hint }
    }
    const top = realpathOf(this.path)
    if (top !== undefined && `${place}${sep}`.startsWith(`${top}${sep}`)) return undefined
    if (stated !== undefined && realpathOf(stated) === place) return undefined
    return {
      kind: 'link',
      message: `"${shown}" leads to "${displayPathname(place)}", which is not in the backup`,
      hint: `If that is this backup's, and no server's, say so: ${option}=${displayPathname(place)}.`,
    }
  }
}

/** How to say where a link leads. */
function optionOf(pathname: Pathname): string {
  return pathname === 'pg_wal' ? '--waldir' : `-T ${posix.basename(pathname)}`
}

function missingLink(pathname: SafePathname): Reason {
  return {
    kind: 'link',
    message: `"${displayPathname(pathname)}", the link of a tablespace, is not there`,
    hint: `Say where it is to lead: ${optionOf(pathname)}=DIRECTORY.`,
  }
}

function fullDirectory(pathname: SafePathname): Reason {
  const message = `"${displayPathname(pathname)}" is a directory that is not empty`
  return { kind: 'in-the-way', message, hint: 'Move it away, out of the backup.' }
}

/** What the operating system refused, as a reason; any other error is thrown. */
export function writeFailed(error: unknown): Reason {
  if (!isPbManifestError(error) || error.code !== 'IO') throw error
  return { kind: 'write-failed', message: error.message }
}

function statOf(path: string): Stats {
  try {
    return statSync(path)
  } catch (error) {
    throw ioError(`could not open directory "${displayPathname(path)}"`, error)
  }
}

/** `undefined` when it leads nowhere, or nobody can know where. */
export function realpathOf(path: string | Buffer): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
