import { readlinkSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { type Pathname, pathOf } from '../../files/pathname.js'
import { readDirectory } from '../../files/read-directory.js'
import { ioError, isNotThere } from '../../files/system-error.js'
import { tablespaceVersionDirectory } from '../../postgres/data-directory.js'
import { nearestVersion, newestVersion } from '../../postgres/versions.js'
import { readControlFile, readMajorVersion } from '../data-directory-files.js'
import type { ClusterLayout } from './select-entries.js'

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
