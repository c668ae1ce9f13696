import { PbManifestError } from '../../../errors.js'
import type { Pathname } from '../../../files/pathname.js'
import { ownPathname, requireSafeChild, type SafePathname } from '../../../files/safe-pathname.js'
import {
  emptyWalDirectories,
  isLeftOutOfBaseBackup,
  isLeftOutRelationFile,
  isSentEmpty,
  unloggedRelations,
} from '../../../postgres/base-backup-contents.js'
import type { ClusterFile } from '../cluster-files.js'
import { isMadeByBackup } from '../../../manifest/contents/made-by-backup.js'
import type { LiveClusterLayout } from './cluster-layout.js'

/** What the server says of one name in a directory. */
export interface ListedEntry {
  readonly name: string
  /** `undefined`: it was gone before it could be looked at. */
  readonly isDirectory: boolean | undefined
  readonly size: number
  readonly modified: number
}

/** What a backup has of one directory. */
export interface SelectedEntries {
  readonly entries: readonly ClusterFile[]
  /** Which of the directories are to be listed in their turn. */
  readonly descend: readonly SafePathname[]
}

const TABLESPACE_LINK = /^pg_tblspc\/[0-9]+$/

/**
 * Chooses, from everything in a directory, what a base backup has, by the rules of a server's own.
 *
 * @param parent - the directory, `''` for the data directory
 * @param listed - all of it: unlogged relations show by their neighbours
 * @throws {@link PbManifestError} `SERVER` for a name that no directory can hold
 * @see src/backend/backup/basebackup.c (`sendDir`)
 */
export function selectEntries(
  parent: SafePathname | '',
  listed: readonly ListedEntry[],
  layout: LiveClusterLayout,
): SelectedEntries {
  const unlogged = unloggedRelations(listed.map((entry) => entry.name))
  const entries: ClusterFile[] = []
  const descend: SafePathname[] = []
  for (const entry of listed) {
    const { name, isDirectory } = entry
    const pathname = requireSafeChild(parent, name, badName)
    if (isDirectory === undefined || isLeftOutOfBaseBackup(name) || isMadeByBackup(pathname)) continue
    if (isDirectory) {
      if (!isDirectoryOfBackup(parent, name, layout)) continue
      entries.push({ pathname, kind: 'directory', size: 0, modified: entry.modified })
      if (holdsFilesOfBackup(pathname, name, layout)) descend.push(pathname)
      else entries.push(...emptyDirectoriesIn(pathname, entry.modified, layout))
    } else if (isFileOfBackup(parent, name, unlogged, layout)) {
      entries.push({ pathname, kind: 'file', size: entry.size, modified: entry.modified })
    }
  }
  return { entries, descend }
}

function isDirectoryOfBackup(parent: Pathname, name: string, layout: LiveClusterLayout): boolean {
  // What is in pg_tblspc are links, which are made from the list of tablespaces.
  if (parent === 'pg_tblspc') return false
  return !TABLESPACE_LINK.test(parent) || name === layout.tablespaceDirectory
}

function holdsFilesOfBackup(pathname: Pathname, name: string, layout: LiveClusterLayout): boolean {
  return pathname !== 'pg_wal' && !isSentEmpty(name) && !layout.innerTablespaces.has(pathname)
}

function isFileOfBackup(
  parent: Pathname,
  name: string,
  unlogged: ReadonlySet<number>,
  layout: LiveClusterLayout,
): boolean {
  if (TABLESPACE_LINK.test(parent) || isSentEmpty(name) || (parent === '' && name === 'pg_wal')) return false
  return !isLeftOutRelationFile(parent, name, unlogged, layout.version)
}

/** A server sends pg_wal without its content, but with the directories that it wants there. */
function emptyDirectoriesIn(pathname: Pathname, modified: number, layout: LiveClusterLayout): ClusterFile[] {
  if (pathname !== 'pg_wal') return []
  return emptyWalDirectories(layout.version).map((name) => ({
    pathname: ownPathname(`pg_wal/${name}`),
    kind: 'directory',
    size: 0,
    modified,
  }))
}

function badName(message: string): PbManifestError {
  return new PbManifestError('SERVER', `the server lists what cannot be a file of a backup: ${message}`)
}
