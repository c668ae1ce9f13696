import type { Pathname } from '../../files/pathname.js'
import {
  isLeftOutOfBaseBackup,
  isLeftOutRelationFile,
  isSentEmpty,
  unloggedRelations,
} from '../../postgres/base-backup-contents.js'
import type { PostgresVersion } from '../../postgres/versions.js'
import { parseFragmentFileName } from '../fragment/fragment-file-name.js'

/** What decides, for one cluster, what its backups hold. */
export interface ClusterLayout {
  readonly version: PostgresVersion
  /** `PG_<major>_<catalog version>`: the only part of a tablespace that is this cluster's. */
  readonly tablespaceDirectory: string | undefined
  /** Directories of the data directory that are tablespaces: their files are listed below pg_tblspc, and only there. */
  readonly innerTablespaces: ReadonlySet<Pathname>
}

// A server writes these two into a backup as it is taken, and lists them. A copy that has them is such a backup.
const writtenByBackup: ReadonlySet<string> = new Set(['backup_label', 'tablespace_map'])

/**
 * Whether a server's own backup lists what is in this directory.
 *
 * @param pathname - of the directory; the data directory itself is not asked about
 * @see src/backend/backup/basebackup.c, sendDir
 */
export function holdsBackupFiles(pathname: Pathname, layout: ClusterLayout): boolean {
  const components = pathname.split('/')
  const name = components.at(-1) ?? ''
  if (pathname === 'pg_wal' || layout.innerTablespaces.has(pathname)) return false
  if (isLeftOutOfBaseBackup(name) || isSentEmpty(name)) return false
  const isInTablespace = components[0] === 'pg_tblspc' && components.length === 3
  return !isInTablespace || holdsTablespaceFiles(name, layout)
}

/**
 * Whether a server's own backup goes down to where this file is: whether it lists what is in each directory on the way. The
 * work is linear in the length, since the pathname may be anybody's.
 */
export function isBelowBackupDirectories(pathname: Pathname, layout: ClusterLayout): boolean {
  const directories = pathname.split('/').slice(0, -1)
  for (const inner of layout.innerTablespaces) if (pathname.startsWith(`${inner}/`)) return false
  return (
    directories[0] !== 'pg_wal' &&
    !directories.some((name) => isLeftOutOfBaseBackup(name) || isSentEmpty(name)) &&
    (directories[0] !== 'pg_tblspc' || holdsTablespaceFiles(directories[2], layout))
  )
}

/** Whether this is the manifest or a fragment of the backup itself, which no manifest lists. */
export function isAboutBackup(pathname: Pathname): boolean {
  return pathname === 'backup_manifest' || parseFragmentFileName(pathname) !== undefined
}

/** @param name - of a directory of a tablespace; `undefined`: the file is not in one */
function holdsTablespaceFiles(name: string | undefined, { tablespaceDirectory }: ClusterLayout): boolean {
  if (name === undefined) return true
  return tablespaceDirectory === undefined ? name.startsWith('PG_') : name === tablespaceDirectory
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
  layout: ClusterLayout,
): (name: string) => boolean {
  const unlogged = unloggedRelations(names)
  const isTop = directory === ''
  // Of a tablespace, a backup takes the directory of this cluster's version and nothing beside it.
  if (/^pg_tblspc\/[^/]+$/.test(directory)) return () => false
  return (name) => {
    if (isTop && writtenByBackup.has(name)) return true
    if (isTop && parseFragmentFileName(name) !== undefined) return false
    return !isLeftOutOfBaseBackup(name) && !isLeftOutRelationFile(directory, name, unlogged, layout.version)
  }
}
