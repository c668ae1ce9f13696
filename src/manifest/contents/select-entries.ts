import type { Pathname } from '../../files/pathname.js'
import type { EntryKind } from '../../files/read-directory.js'
import { emptyWalDirectories, isLeftOutOfBaseBackup, isSentEmpty } from '../../postgres/data-directory.js'
import { isLeftOutRelationFile, unloggedRelations } from '../../postgres/relation-file-name.js'
import type { PostgresVersion } from '../../postgres/versions.js'
import { isAboutBackup, isListedByBackup, isMadeByBackup } from './made-by-backup.js'

/** What decides, for one cluster, what its backups hold. */
export interface ClusterLayout {
  readonly version: PostgresVersion
  /** `PG_<major>_<catalog version>`: the only part of a tablespace that is this cluster's; `undefined`: it may be any `PG_*`. */
  readonly tablespaceDirectory: string | undefined
  /** Directories of the data directory that are tablespaces: their files are listed below pg_tblspc, and only there. */
  readonly innerTablespaces: ReadonlySet<Pathname>
}

/**
 * Whose files they are. What backups make for themselves is of another backup in a cluster. In a copy at rest, be it a backup
 * already, it is of this one, which has backup_label and tablespace_map among its files.
 */
export type FilesOf = 'cluster' | 'copy'

/** One name in a directory. */
export interface ListedEntry {
  readonly name: string
  /** Who cannot tell links, as SQL, says what they lead to. */
  readonly kind: EntryKind
}

/** What a backup has of an entry. */
export type Selection =
  | 'file'
  /** And what it has of what is in it. */
  | 'directory'
  /** Whatever is in it. */
  | 'empty directory'
  /** Nothing here: what is in it is listed as the tablespace's. */
  | 'tablespace'
  /** Nothing: no backup takes a link, a FIFO or the like. It would have a file of this name. */
  | 'special'
  | 'left out'

const TABLESPACE = /^pg_tblspc\/[^/]+$/

/**
 * Decides what a backup has of each entry of a directory, by the rules of a server's own. Whoever lists a data directory, from the disk
 * or over SQL, goes by this.
 *
 * @param parent - the directory's pathname, `''` for the data directory itself
 * @param names - everything in it: unlogged relations show by their neighbours
 * @see src/backend/backup/basebackup.c (`sendDir`)
 */
export function entrySelector(
  parent: Pathname,
  names: Iterable<string>,
  layout: ClusterLayout,
  filesOf: FilesOf,
): (entry: ListedEntry) => Selection {
  const isTablespace = TABLESPACE.test(parent)
  const unlogged = unloggedRelations(names)
  return ({ name, kind }) => {
    const pathname = parent === '' ? name : `${parent}/${name}`
    const isDirectory = kind === 'directory'
    const mayBeLinked = isDirectory || kind === 'symlink'
    // What backups make for themselves is at the top.
    if (parent === '' && isLeftByBackup(name, filesOf)) return 'left out'
    const isListed = filesOf === 'copy' && isListedByBackup(pathname) && !isDirectory
    if (isLeftOutOfBaseBackup(name) && !isListed) return 'left out'
    // Of a tablespace, a backup takes the directory of this cluster's version and nothing beside it.
    if (isTablespace) return isDirectory && isVersionDirectory(name, layout) ? 'directory' : 'left out'
    if (parent === 'pg_tblspc' && mayBeLinked) return isSentEmpty(name) ? 'left out' : 'tablespace'
    // Both are often links. A server has headers of files in their place in its archive, but none of them in its manifest.
    if (isSentEmpty(name) || pathname === 'pg_wal') {
      if (kind === 'file') return 'left out'
      return mayBeLinked ? 'empty directory' : 'special'
    }
    if (isDirectory) return layout.innerTablespaces.has(pathname) ? 'empty directory' : 'directory'
    if (isLeftOutRelationFile(parent, name, unlogged, layout.version)) return 'left out'
    return kind === 'file' ? 'file' : 'special'
  }
}

function isLeftByBackup(pathname: Pathname, filesOf: FilesOf): boolean {
  return filesOf === 'cluster' ? isMadeByBackup(pathname) : isAboutBackup(pathname)
}

function isVersionDirectory(name: string, { tablespaceDirectory }: ClusterLayout): boolean {
  return tablespaceDirectory === undefined ? name.startsWith('PG_') : name === tablespaceDirectory
}

/**
 * Whether {@link entrySelector} goes down to where this file is: whether a backup has more than an empty directory of each
 * directory on the way. The work is linear in the length, since the pathname may be anybody's.
 */
export function isBelowBackupDirectories(
  pathname: Pathname,
  layout: ClusterLayout,
  filesOf: FilesOf,
): boolean {
  const directories = pathname.split('/').slice(0, -1)
  const [first, , third] = directories
  for (const inner of layout.innerTablespaces) if (pathname.startsWith(`${inner}/`)) return false
  if (first === undefined) return true
  if (first === 'pg_wal' || isLeftByBackup(first, filesOf)) return false
  if (directories.some((name) => isLeftOutOfBaseBackup(name) || isSentEmpty(name))) return false
  return first !== 'pg_tblspc' || third === undefined || isVersionDirectory(third, layout)
}

/** The directories that a server makes in an empty directory of a backup, whatever was there. */
export function directoriesMadeIn(pathname: Pathname, { version }: ClusterLayout): readonly Pathname[] {
  return pathname === 'pg_wal' ? emptyWalDirectories(version).map((name) => `pg_wal/${name}`) : []
}
