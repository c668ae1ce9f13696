import { type Dirent, readdirSync, type Stats } from 'node:fs'
import { comparePathnames, decodePathname, type Pathname } from './pathname.js'

export type EntryKind = 'file' | 'directory' | 'symlink' | 'other'

export interface DirectoryEntry {
  readonly name: Pathname
  /** Of the entry itself: a link is a link, wherever it leads. */
  readonly kind: EntryKind
}

/**
 * What is in a directory, whatever its names are made of, in the order of {@link comparePathnames}.
 *
 * @throws the error of `readdir`
 */
export function readDirectory(path: string | Buffer): DirectoryEntry[] {
  return readEntries(path).toSorted((left, right) => comparePathnames(left.name, right.name))
}

/**
 * The names alone, in the same order: half the work, for those who look at each entry anyway.
 *
 * @throws the error of `readdir`
 */
export function readNames(path: string | Buffer): Pathname[] {
  const names = readdirSync(path)
  const exact = names.some(isGarbled) ? readdirSync(path, 'buffer').map(decodePathname) : names
  // Without a comparison, strings are sorted as `comparePathnames` has it.
  return exact.toSorted()
}

/** Names that are not UTF-8 come with a replacement character and could not be opened. */
function isGarbled(name: string): boolean {
  return name.includes('\ufffd')
}

function readEntries(path: string | Buffer): DirectoryEntry[] {
  const entries = readdirSync(path, { withFileTypes: true })
  if (!entries.some((entry) => isGarbled(entry.name))) {
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }))
  }
  return readdirSync(path, { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
    name: decodePathname(entry.name),
    kind: kindOf(entry),
  }))
}

/** @param entry - not what a link leads to */
export function kindOf(entry: Dirent | Dirent<Buffer> | Stats): EntryKind {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  return entry.isSymbolicLink() ? 'symlink' : 'other'
}
