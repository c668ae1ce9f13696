import type { Pathname } from '../../files/pathname.js'
import {
  isLeftOutOfBaseBackup,
  isLeftOutRelationFile,
  isSentEmpty,
  unloggedRelations,
} from '../../postgres/base-backup-contents.js'
import { parseFragmentFileName } from './fragment-file-name.js'

/** What of a cluster's version decides what its backups hold. */
export interface ClusterVersion {
  readonly major: number
  /** `PG_<major>_<catalog version>`: the only part of a tablespace that is this cluster's. */
  readonly tablespaceDirectory: string | undefined
}

// A server writes these two into a backup as it is taken, and lists them. A copy that has them is such a backup.
const writtenByBackup: ReadonlySet<string> = new Set(['backup_label', 'tablespace_map'])

/**
 * Whether a server's own backup lists what is in this directory.
 *
 * @param pathname - of the directory; the data directory itself is not asked about
 * @see src/backend/backup/basebackup.c, sendDir
 */
export function holdsBackupFiles(pathname: Pathname, version: ClusterVersion): boolean {
  const components = pathname.split('/')
  const name = components.at(-1) ?? ''
  if (pathname === 'pg_wal' || isLeftOutOfBaseBackup(name) || isSentEmpty(name)) return false
  const isInTablespace = components[0] === 'pg_tblspc' && components.length === 3
  if (!isInTablespace) return true
  return version.tablespaceDirectory === undefined
    ? name.startsWith('PG_')
    : name === version.tablespaceDirectory
}

/**
 * Chooses, from all names in one directory, the files that a server's own backup lists.
 *
 * @param directory - its pathname, `''` for the data directory itself
 * @param names - everything in it: unlogged relations show by their neighbours
 */
export function selectBackupFiles(
  directory: Pathname,
  names: readonly string[],
  version: ClusterVersion,
): (name: string) => boolean {
  const unlogged = unloggedRelations(names)
  const isTop = directory === ''
  return (name) => {
    if (isTop && writtenByBackup.has(name)) return true
    if (isTop && parseFragmentFileName(name) !== undefined) return false
    return !isLeftOutOfBaseBackup(name) && !isLeftOutRelationFile(directory, name, unlogged, version.major)
  }
}
