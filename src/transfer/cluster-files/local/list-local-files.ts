import { lstatSync, type Stats } from 'node:fs'
import type { WayGiver } from '../../../files/give-way.js'
import { pathOf } from '../../../files/path-of.js'
import { displayPathname, type Pathname } from '../../../files/pathname.js'
import { ownPathname } from '../../../files/safe-pathname.js'
import { ioError, isNotThere } from '../../../files/system-error.js'
import { type ClusterLayout, directoriesMadeIn } from '../../../manifest/contents/select-entries.js'
import { walkBackup } from '../../../manifest/contents/walk-backup.js'
import type { ClusterFile, ListFilesOptions } from '../cluster-files.js'

/** Not those by which a program runs as somebody else: no backup needs them. */
const PERMISSIONS = 0o777

/**
 * What a base backup has of a tablespace, or of the data directory.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function listLocalFiles(
  directory: string,
  layout: ClusterLayout,
  tablespaceOid: number | undefined,
  way: WayGiver,
  onSpecialFile?: ListFilesOptions['onSpecialFile'],
): Promise<ClusterFile[]> {
  const start = tablespaceOid === undefined ? '' : `pg_tblspc/${tablespaceOid}`
  const files: ClusterFile[] = []
  const walk = walkBackup({ directory, layout, start, filesOf: 'cluster' })
  for (const { pathname, kind } of walk) {
    if (way.isDue) await way.giveWay()
    if (kind === 'left-out') continue
    const stats = statIfThere(directory, pathname)
    if (stats === undefined) continue
    if (kind === 'special' || (kind === 'file' && !stats.isFile())) {
      onSpecialFile?.(pathname)
      continue
    }
    const file = fileOf(pathname, kind, stats)
    files.push(file)
    for (const made of directoriesMadeIn(pathname, layout))
      files.push({ ...file, pathname: ownPathname(made) })
  }
  return files
}

function fileOf(pathname: Pathname, kind: ClusterFile['kind'], stats: Stats): ClusterFile {
  return {
    pathname: ownPathname(pathname),
    kind,
    size: kind === 'file' ? stats.size : 0,
    modified: Math.floor(stats.mtimeMs / 1000),
    // Of a link that becomes a directory, they say nothing.
    mode: stats.isSymbolicLink() ? undefined : stats.mode & PERMISSIONS,
  }
}

/** `undefined` when it was removed meanwhile. */
function statIfThere(directory: string, pathname: Pathname): Stats | undefined {
  try {
    return lstatSync(pathOf(directory, pathname))
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw ioError(`could not stat file "${displayPathname(pathname)}"`, error)
  }
}
