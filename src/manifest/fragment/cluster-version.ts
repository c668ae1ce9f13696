import { tablespaceVersionDirectory } from '../../postgres/tablespace-version-directory.js'
import { readControlFile, readMajorVersion } from '../cluster-files.js'
import type { ClusterVersion } from './backup-contents.js'

/**
 * The version of the cluster in this directory.
 *
 * A directory without PG_VERSION is treated as one of the newest version; without pg_control, any `PG_*` directory of
 * its tablespaces counts.
 */
export function readClusterVersion(directory: string): ClusterVersion {
  const major = readMajorVersion(directory)
  if (major === undefined) return { major: Number.MAX_SAFE_INTEGER, tablespaceDirectory: undefined }
  const control = readControlFile(directory)
  return {
    major,
    tablespaceDirectory: control && tablespaceVersionDirectory(major, control.catalogVersion),
  }
}
