import { pathOf } from '../../files/path-of.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { type DirectoryEntry, readDirectory } from '../../files/read-directory.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import { isLeftOutOfBaseBackup, isSentEmpty } from '../../postgres/base-backup-contents.js'
import { type ClusterLayout, holdsBackupFiles, isAboutBackup, selectBackupFiles } from './select-entries.js'

/**
 * What a backup has of a cluster, or passes over: `special` is a link, a FIFO or the like, which no backup takes; `left-out`
 * is a file that a copy of the whole directory has, and a base backup has not.
 */
export interface BackupEntry {
  readonly pathname: Pathname
  readonly kind: 'file' | 'directory' | 'special' | 'left-out'
}

/** What a walk goes through. */
export interface BackupWalk {
  readonly directory: string
  readonly layout: ClusterLayout
  /** Where to begin; default: at the data directory. */
  readonly start?: Pathname
  /** Whether to go into the tablespaces from the data directory. */
  readonly entersTablespaces: boolean
  /** Whether the cluster is in use, so that directories may vanish. */
  readonly isInUse: boolean
  /** Whether to walk through what a base backup leaves out as well, but for `pg_wal`. Default false. */
  readonly showsLeftOut?: boolean
}

/**
 * Walks a data directory, or a part of it, by the rules of a server's own base backup. Directories come before what is in
 * them.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function* walkBackup(walk: BackupWalk): Generator<BackupEntry, void, undefined> {
  const { layout, showsLeftOut = false } = walk
  const pending: Place[] = [{ pathname: walk.start ?? '', isTaken: true }]
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const { isTaken } = parent
    const entries = readEntries(walk, parent.pathname)
    const names = entries.map((entry) => entry.name)
    const isBackupFile = selectBackupFiles(parent.pathname, names, layout)
    for (const { name, kind } of entries) {
      const pathname = parent.pathname === '' ? name : `${parent.pathname}/${name}`
      if (kind === 'directory' || (kind === 'symlink' && isDirectoryInDisguise(parent.pathname, name))) {
        const isTablespace = parent.pathname === 'pg_tblspc'
        if (isTablespace && !walk.entersTablespaces) continue
        if (isTaken && !isTablespace && isBackupDirectory(pathname, layout))
          yield { pathname, kind: 'directory' }
        if (isTaken && holdsBackupFiles(pathname, layout)) pending.push({ pathname, isTaken })
        else if (showsLeftOut && kind === 'directory' && pathname !== 'pg_wal')
          pending.push({ pathname, isTaken: false })
      } else if (isTaken && isBackupFile(name)) {
        yield { pathname, kind: kind === 'file' ? 'file' : 'special' }
      } else if (showsLeftOut && kind === 'file' && !isAboutBackup(pathname)) {
        yield { pathname, kind: 'left-out' }
      }
    }
  }
}

/** A directory, and whether a backup takes what is in it. */
interface Place {
  readonly pathname: Pathname
  readonly isTaken: boolean
}

/** A tablespace is a link in pg_tblspc; pg_wal and pg_stat_tmp are often links, too. */
function isDirectoryInDisguise(parent: Pathname, name: string): boolean {
  return parent === 'pg_tblspc' || (parent === '' && name === 'pg_wal') || isSentEmpty(name)
}

/** Whether a backup has the directory, be it an empty one. */
function isBackupDirectory(pathname: Pathname, layout: ClusterLayout): boolean {
  const name = pathname.slice(pathname.lastIndexOf('/') + 1)
  const isSentWithoutContent =
    pathname === 'pg_wal' || isSentEmpty(name) || layout.innerTablespaces.has(pathname)
  return isSentWithoutContent ? !isLeftOutOfBaseBackup(name) : holdsBackupFiles(pathname, layout)
}

function readEntries({ directory, isInUse }: BackupWalk, pathname: Pathname): DirectoryEntry[] {
  const path = pathname === '' ? directory : pathOf(directory, pathname)
  try {
    return readDirectory(path)
  } catch (error) {
    if (isInUse && pathname !== '' && describeSystemError(error)?.code === 'ENOENT') return []
    throw ioError(`could not open directory "${directory}/${displayPathname(pathname)}"`, error)
  }
}
