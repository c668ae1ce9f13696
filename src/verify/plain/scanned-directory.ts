import { type BigIntStats, statSync } from 'node:fs'
import { type Pathname, pathOf } from '../../files/pathname.js'
import { type DirectoryEntry, readDirectory, readNames } from '../../files/read-directory.js'
import { ioError } from '../../files/system-error.js'

/** A directory on the way down, by its identity and by its name. */
export interface ScannedDirectory {
  readonly pathname: Pathname
  /** `device:inode` of it and of all directories above it, to notice a link that leads back up. */
  readonly identities: ReadonlySet<string>
}

/** What is known of an entry, where links lead to. */
export interface EntryStats {
  readonly size: number
  readonly isFile: () => boolean
  readonly isDirectory: () => boolean
}

/** What a scan walks through; the top has the pathname of no characters. What fails throws an error of the system. */
export interface ScannedTree {
  /** In the order of `comparePathnames`. */
  list(pathname: Pathname): DirectoryEntry[]
  look(pathname: Pathname): EntryStats
  /** Tells directories apart. */
  identity(pathname: Pathname): string
}

/** A directory, through the file system. */
export function directoryTree(directory: string): ScannedTree {
  const at = (pathname: Pathname): string | Buffer =>
    pathname === '' ? directory : pathOf(directory, pathname)
  return {
    list: (pathname) => listEntries(at(pathname)),
    look: (pathname) => statSync(at(pathname)),
    identity: (pathname) => identityOf(at(pathname)),
  }
}

/** @throws {@link PbManifestError} `IO` */
export function identityOfTop(tree: ScannedTree, directory: string): string {
  try {
    return tree.identity('')
  } catch (error) {
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

/** Where a file system does not say what its entries are, each is looked at for it, which may fail: then it is left open. */
function listEntries(path: string | Buffer): DirectoryEntry[] {
  try {
    return readDirectory(path)
  } catch {
    return readNames(path).map((name) => ({ name, kind: 'other' }))
  }
}

/** Exact: two inode numbers above 2^53 may be the same as a JavaScript number. */
function identityOf(path: string | Buffer): string {
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
