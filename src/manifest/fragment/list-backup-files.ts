import { statSync } from 'node:fs'
import type { Yielder } from '../../files/yielder.js'
import { pathOf } from '../../files/path-of.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { ioError } from '../../files/system-error.js'
import type { ClusterLayout } from '../contents/select-entries.js'
import type { PlannedFile } from './plan-shares.js'
import { walkBackup } from '../contents/walk-backup.js'

/** The files of a data directory that a server's own backup would list, or all. */
export interface BackupFiles {
  readonly files: readonly PlannedFile[]
  /** Files that a server's own backup leaves out; none when all are listed. */
  readonly leftOut: readonly Pathname[]
  /** Links, FIFOs and the like, which no backup takes. */
  readonly specialFiles: readonly Pathname[]
}

/**
 * Walks a data directory and its tablespaces, which must be at rest.
 *
 * @param includesAll - whether to list what a server's own backup leaves out as well
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function listBackupFiles(
  directory: string,
  layout: ClusterLayout,
  yielder: Yielder,
  includesAll = false,
): Promise<BackupFiles> {
  const files: PlannedFile[] = []
  const leftOut: Pathname[] = []
  const specialFiles: Pathname[] = []
  for (const { pathname, kind } of walkBackup({ directory, layout, filesOf: 'copy' })) {
    const isListed = kind === 'file' || (kind === 'left-out' && includesAll)
    if (isListed) files.push({ pathname, size: sizeOf(directory, pathname) })
    else if (kind === 'special') specialFiles.push(pathname)
    else if (kind === 'left-out') leftOut.push(pathname)
    if (yielder.isDue) await yielder.yield()
  }
  return { files, specialFiles, leftOut }
}

function sizeOf(directory: string, pathname: Pathname): number {
  try {
    return statSync(pathOf(directory, pathname)).size
  } catch (error) {
    throw ioError(`could not stat file "${displayPathname(pathname)}"`, error)
  }
}
