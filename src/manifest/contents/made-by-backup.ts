import type { Pathname } from '../../files/pathname.js'
import { BACKUP_LABEL, TABLESPACE_MAP } from '../../postgres/data-directory.js'
import { parseFragmentFileName } from '../fragment/backup-id.js'

/** The file that says that a directory holds the beginning of a backup. No server has one of this name. */
export const UNFINISHED_MARK = 'pbmanifest.unfinished'

/** What a manifest is called until the backup is complete, as with pg_basebackup. */
export const UNFINISHED_MANIFEST = 'backup_manifest.tmp'

const names: ReadonlySet<Pathname> = new Set([
  BACKUP_LABEL,
  'backup_manifest',
  TABLESPACE_MAP,
  UNFINISHED_MANIFEST,
  UNFINISHED_MARK,
])

/**
 * Whether a backup makes a file of this pathname for itself. One that a cluster has is of another backup, from which the
 * cluster came, and no backup takes it.
 */
export function isMadeByBackup(pathname: Pathname): boolean {
  return names.has(pathname) || parseFragmentFileName(pathname) !== undefined
}

/** Whether this is the manifest or a fragment of the backup itself, which no manifest lists. */
export function isAboutBackup(pathname: Pathname): boolean {
  return pathname === 'backup_manifest' || parseFragmentFileName(pathname) !== undefined
}

/** Whether a server writes this file into a backup as it is taken, and lists it. A copy that has it is such a backup. */
export function isListedByBackup(pathname: Pathname): boolean {
  return pathname === BACKUP_LABEL || pathname === TABLESPACE_MAP
}
