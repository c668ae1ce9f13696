import { statSync } from 'node:fs'
import type { WayGiver } from '../../files/give-way.js'
import { pathOf } from '../../files/path-of.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { type DirectoryEntry, readDirectory } from '../../files/read-directory.js'
import { ioError } from '../../files/system-error.js'
import { isSentEmpty } from '../../postgres/base-backup-contents.js'
import { type ClusterLayout, holdsBackupFiles, selectBackupFiles } from './backup-contents.js'
import type { PlannedFile } from './plan-shares.js'

/** The files of a data directory that a server's own backup would list. */
export interface BackupFiles {
  readonly files: readonly PlannedFile[]
  /** Links, FIFOs and the like, which no backup takes. */
  readonly specialFiles: readonly Pathname[]
}

/**
 * Walks a data directory and its tablespaces.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function listBackupFiles(
  directory: string,
  layout: ClusterLayout,
  way: WayGiver,
): Promise<BackupFiles> {
  const files: PlannedFile[] = []
  const specialFiles: Pathname[] = []
  const pending: Pathname[] = ['']
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const entries = readDirectoryOf(directory, parent)
    const isBackupFile = selectBackupFiles(
      parent,
      entries.map((entry) => entry.name),
      layout,
    )
    for (const { name, kind } of entries) {
      const pathname = parent === '' ? name : `${parent}/${name}`
      if (kind === 'directory' || (kind === 'symlink' && isDirectoryInDisguise(parent, name))) {
        if (holdsBackupFiles(pathname, layout)) pending.push(pathname)
      } else if (isBackupFile(name)) {
        if (kind === 'file') files.push({ pathname, size: sizeOf(directory, pathname) })
        else specialFiles.push(pathname)
      }
      if (way.isDue) await way.giveWay()
    }
  }
  return { files, specialFiles }
}

/** A tablespace is a link in pg_tblspc; pg_wal and pg_stat_tmp are often links, too. */
function isDirectoryInDisguise(parent: Pathname, name: string): boolean {
  return parent === 'pg_tblspc' || (parent === '' && name === 'pg_wal') || isSentEmpty(name)
}

function readDirectoryOf(directory: string, pathname: Pathname): DirectoryEntry[] {
  const path = pathname === '' ? directory : pathOf(directory, pathname)
  try {
    return readDirectory(path)
  } catch (error) {
    throw ioError(`could not open directory "${directory}/${displayPathname(pathname)}"`, error)
  }
}

function sizeOf(directory: string, pathname: Pathname): number {
  try {
    return statSync(pathOf(directory, pathname)).size
  } catch (error) {
    throw ioError(`could not stat file "${displayPathname(pathname)}"`, error)
  }
}
