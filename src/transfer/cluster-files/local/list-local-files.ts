import { lstatSync, type Stats } from 'node:fs'
import type { WayGiver } from '../../../files/give-way.js'
import { pathOf } from '../../../files/path-of.js'
import { displayPathname, type Pathname } from '../../../files/pathname.js'
import { ownPathname } from '../../../files/safe-pathname.js'
import { describeSystemError, ioError } from '../../../files/system-error.js'
import type { ClusterLayout } from '../../../manifest/fragment/backup-contents.js'
import { walkBackup } from '../../../manifest/fragment/walk-backup.js'
import { emptyWalDirectories } from '../../../postgres/base-backup-contents.js'
import type { ClusterFile } from '../cluster-files.js'
import { isMadeByBackup } from '../made-by-backup.js'

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
): Promise<ClusterFile[]> {
  const start = tablespaceOid === undefined ? '' : `pg_tblspc/${tablespaceOid}`
  const files: ClusterFile[] = []
  const walk = walkBackup({ directory, layout, start, entersTablespaces: false, isInUse: true })
  for (const { pathname, kind } of walk) {
    if (way.isDue) await way.giveWay()
    if (kind === 'special' || isMadeByBackup(pathname)) continue
    const stats = statIfThere(directory, pathname)
    if (stats === undefined || (kind === 'file' && !stats.isFile())) continue
    const modified = Math.floor(stats.mtimeMs / 1000)
    files.push({ pathname: ownPathname(pathname), kind, size: kind === 'file' ? stats.size : 0, modified })
    if (pathname === 'pg_wal') files.push(...walDirectories(layout, modified))
  }
  return files
}

/** What a server makes in pg_wal, whatever is there. */
function walDirectories({ version }: ClusterLayout, modified: number): ClusterFile[] {
  return emptyWalDirectories(version).map((name) => ({
    pathname: ownPathname(`pg_wal/${name}`),
    kind: 'directory',
    size: 0,
    modified,
  }))
}

/** `undefined` when it was removed meanwhile. */
function statIfThere(directory: string, pathname: Pathname): Stats | undefined {
  try {
    return lstatSync(pathOf(directory, pathname))
  } catch (error) {
    if (describeSystemError(error)?.code === 'ENOENT') return undefined
    throw ioError(`could not stat file "${displayPathname(pathname)}"`, error)
  }
}
