import { type BigIntStats, statSync } from 'node:fs'
import type { Pathname } from '../../files/pathname.js'
import { type DirectoryEntry, readDirectory, readNames } from '../../files/read-directory.js'
import { ioError } from '../../files/system-error.js'

/** A directory on the way down, by its identity and by its name. */
export interface ScannedDirectory {
  readonly pathname: Pathname
  /** `device:inode` of it and of all directories above it, to notice a link that leads back up. */
  readonly identities: ReadonlySet<string>
}

/** Where a file system does not say what its entries are, each is looked at for it, which may fail: then it is left open. */
export function listEntries(path: string | Buffer): DirectoryEntry[] {
  try {
    return readDirectory(path)
  } catch {
    return readNames(path).map((name) => ({ name, kind: 'other' }))
  }
}

export function identityOfTop(directory: string): string {
  try {
    return identityOf(directory)
  } catch (error) {
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

/** Exact: two inode numbers above 2^53 may be the same as a JavaScript number. */
export function identityOf(path: string | Buffer): string {
  const stats: BigIntStats = statSync(path, { bigint: true })
  return `${stats.dev}:${stats.ino}`
}

/** Directories that could not be looked into: what should be in them is not called missing. */
export class UnreadableDirectories {
  readonly #pathnames = new Set<Pathname>()

  add(pathname: Pathname): void {
    this.#pathnames.add(pathname)
  }

  /** Whether this is one of them, or below one. */
  covers(pathname: Pathname): boolean {
    if (this.#pathnames.size === 0) return false
    for (let slash = pathname.indexOf('/'); slash !== -1; slash = pathname.indexOf('/', slash + 1)) {
      if (this.#pathnames.has(pathname.slice(0, slash))) return true
    }
    return this.#pathnames.has(pathname)
  }
}
