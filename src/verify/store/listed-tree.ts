import { comparePathnames, type Pathname } from '../../files/pathname.js'
import type { DirectoryEntry } from '../../files/read-directory.js'
import type { ListedObject } from '../../source/store/list-objects.js'
import type { EntryStats, ScannedTree } from '../plain/scanned-directory.js'

/** The objects below a prefix, as the files and directories that they would be. */
export class ListedTree implements ScannedTree {
  /** By pathname. */
  readonly files: ReadonlyMap<Pathname, ListedObject>
  /** Objects whose keys are no pathnames of a directory's files: `base//1`, `base/../1`, or a name that a directory has. */
  readonly odd: readonly ListedObject[]
  readonly #directories = new Map<Pathname, Set<Pathname>>([['', new Set()]])

  constructor(objects: Iterable<ListedObject>) {
    const files = new Map<Pathname, ListedObject>()
    const odd: ListedObject[] = []
    for (const object of objects) {
      const { pathname, size } = object
      // Consoles make such an object of a new folder.
      const isDirectory = size === 0 && (pathname === '' || pathname.endsWith('/'))
      const path = isDirectory ? pathname.replace(/\/$/, '') : pathname
      if (path === '' && isDirectory) continue
      if (!isPathname(path)) odd.push(object)
      else if (isDirectory) this.#addDirectory(path)
      else files.set(path, object)
    }
    for (const pathname of files.keys()) this.#addDirectory(parentOf(pathname))
    for (const [pathname, object] of files) {
      if (!this.#directories.has(pathname)) continue
      files.delete(pathname)
      odd.push(object)
    }
    for (const pathname of files.keys()) this.#directories.get(parentOf(pathname))?.add(nameOf(pathname))
    this.files = files
    this.odd = odd
  }

  hasDirectory(pathname: Pathname): boolean {
    return this.#directories.has(pathname)
  }

  /** The names of what is in a directory; of none when there is no such one. */
  namesIn(pathname: Pathname): readonly Pathname[] {
    return [...(this.#directories.get(pathname) ?? [])].toSorted(comparePathnames)
  }

  list(pathname: Pathname): DirectoryEntry[] {
    const prefix = pathname === '' ? '' : `${pathname}/`
    return this.namesIn(pathname).map((name) => ({
      name,
      kind: this.#directories.has(prefix + name) ? 'directory' : 'file',
    }))
  }

  look(pathname: Pathname): EntryStats {
    const isDirectory = this.#directories.has(pathname)
    const size = this.files.get(pathname)?.size ?? 0
    return { size, isFile: () => !isDirectory, isDirectory: () => isDirectory }
  }

  identity(pathname: Pathname): string {
    return pathname
  }

  /** Takes note of a directory, and of those that it is in. */
  #addDirectory(pathname: Pathname): void {
    if (this.#directories.has(pathname)) return
    this.#directories.set(pathname, new Set())
    const parent = parentOf(pathname)
    this.#addDirectory(parent)
    this.#directories.get(parent)?.add(nameOf(pathname))
  }
}

function isPathname(key: string): boolean {
  return key.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && !key.includes('\0')
}

function parentOf(pathname: Pathname): Pathname {
  return pathname.slice(0, Math.max(pathname.lastIndexOf('/'), 0))
}

function nameOf(pathname: Pathname): Pathname {
  return pathname.slice(pathname.lastIndexOf('/') + 1)
}
