import { readlinkSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { displayPathname, type Pathname, pathOf } from '../../files/pathname.js'
import { type DirectoryEntry, readDirectory } from '../../files/read-directory.js'
import { ioError, isNotThere } from '../../files/system-error.js'
import { isAboutBackup } from './made-by-backup.js'
import { type ClusterLayout, entrySelector, type FilesOf } from './select-entries.js'
import { tablespaceVersionDirectory } from '../../postgres/data-directory.js'
import { nearestVersion, newestVersion } from '../../postgres/versions.js'
import { readControlFile, readMajorVersion } from '../data-directory-files.js'

/**
 * What a backup has of a data directory, or passes over: `special` is a link, a FIFO or the like, which no backup takes; `left-out`
 * is a file that a copy of the whole directory has, and a base backup has not.
 */
interface BackupEntry {
  readonly pathname: Pathname
  readonly kind: 'file' | 'directory' | 'special' | 'left-out'
}

/** What a walk goes through. */
interface BackupWalk {
  readonly directory: string
  readonly layout: ClusterLayout
  /**
   * A `cluster` may be in use, so that directories may vanish, and its tablespaces are walked one by one. A `copy` is at rest: the
   * walk goes into its tablespaces, and through what a base backup leaves out as well, but for `pg_wal`.
   */
  readonly filesOf: FilesOf
  /** Where to begin; default: at the data directory. */
  readonly start?: Pathname
}

/**
 * Walks a data directory, or a part of it, by the rules of a server's own base backup. Directories come before what is in
 * them.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function* walkBackup(walk: BackupWalk): Generator<BackupEntry, void, undefined> {
  const { layout, filesOf } = walk
  const isCopy = filesOf === 'copy'
  const pending: Place[] = [{ pathname: walk.start ?? '', isTaken: true }]
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const entries = readEntries(walk, parent.pathname)
    const names = entries.map((entry) => entry.name)
    const select = parent.isTaken ? entrySelector(parent.pathname, names, layout, filesOf) : leaveOut
    for (const entry of entries) {
      const { name, kind } = entry
      const pathname = parent.pathname === '' ? name : `${parent.pathname}/${name}`
      const selection = select(entry)
      switch (selection) {
        case 'file':
        case 'special':
          yield { pathname, kind: selection }
          break
        case 'directory':
          yield { pathname, kind: 'directory' }
          pending.push({ pathname, isTaken: true })
          break
        case 'empty directory':
          yield { pathname, kind: 'directory' }
          if (isCopy && kind === 'directory' && pathname !== 'pg_wal')
            pending.push({ pathname, isTaken: false })
          break
        case 'tablespace':
          if (isCopy) pending.push({ pathname, isTaken: true })
          break
        case 'left out':
          if (isCopy && kind === 'directory') pending.push({ pathname, isTaken: false })
          if (isCopy && kind === 'file' && !isAboutBackup(pathname)) yield { pathname, kind: 'left-out' }
          break
        default:
          selection satisfies never
      }
    }
  }
}

/** A directory, and whether a backup takes what is in it. */
interface Place {
  readonly pathname: Pathname
  readonly isTaken: boolean
}

function leaveOut(): 'left out' {
  return 'left out'
}

function readEntries({ directory, filesOf }: BackupWalk, pathname: Pathname): DirectoryEntry[] {
  const path = pathname === '' ? directory : pathOf(directory, pathname)
  try {
    return readDirectory(path)
  } catch (error) {
    if (filesOf === 'cluster' && pathname !== '' && isNotThere(error)) return []
    throw ioError(`could not open directory "${directory}/${displayPathname(pathname)}"`, error)
  }
}

/**
 * What decides what a backup of the cluster in this directory holds.
 *
 * A directory without PG_VERSION, or of a version that is not known, is treated as one of the newest; without pg_control, any
 * `PG_*` directory of its tablespaces counts.
 *
 * @param readControl - of who can do without a pg_control that is not known
 * @throws {@link PbManifestError} `IO` or `BAD_FILE`
 */
export function readClusterLayout(
  directory: string,
  readControl: typeof readControlFile = readControlFile,
): ClusterLayout {
  const major = readMajorVersion(directory)
  const control = major === undefined ? undefined : readControl(directory)
  return {
    version: major === undefined ? newestVersion : nearestVersion(major),
    tablespaceDirectory:
      major === undefined || control === undefined
        ? undefined
        : tablespaceVersionDirectory(major, control.catalogVersion),
    innerTablespaces: new Set(findInnerTablespaces(directory)),
  }
}

/** The server warns of a tablespace inside the data directory, but makes it. */
function findInnerTablespaces(directory: string): Pathname[] {
  const links = `${directory}/pg_tblspc`
  try {
    return readDirectory(links)
      .filter((entry) => entry.kind === 'symlink')
      .map((entry) => relative(resolve(directory), resolve(links, readlinkSync(pathOf(links, entry.name)))))
  } catch (error) {
    if (isNotThere(error)) return []
    throw ioError(`could not open directory "${links}"`, error)
  }
}
