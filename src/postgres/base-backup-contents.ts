import { isTemporaryRelationFileName, parseRelationFileName } from './relation-file-name.js'
import type { PostgresVersion } from './versions.js'

/** Left out in every directory, however deep, whatever kind of file it is. */
const leftOutNames: ReadonlySet<string> = new Set([
  '.DS_Store',
  'backup_label',
  'backup_manifest',
  'current_logfiles.tmp',
  'postgresql.auto.conf.tmp',
  'postmaster.opts',
  'postmaster.pid',
  'tablespace_map',
])

/** Likewise, for every name that begins so. */
const leftOutPrefixes = ['pgsql_tmp', 'pg_internal.init'] as const

const sentEmptyNames: ReadonlySet<string> = new Set([
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])

const databaseDirectory = /^(?:base|pg_tblspc\/[0-9]+\/PG_[^/]+)\/[0-9]+$/

/**
 * Tells whether a base backup leaves out a file or directory of this name (the last component), wherever it is: what
 * belongs to the running server or to this backup alone.
 *
 * @see src/backend/backup/basebackup.c (`excludeFiles`, `sendDir`)
 */
export function isLeftOutOfBaseBackup(name: string): boolean {
  return leftOutNames.has(name) || leftOutPrefixes.some((prefix) => name.startsWith(prefix))
}

/** What a server makes in `pg_wal` of a base backup, whatever is there: empty directories. */
export function emptyWalDirectories({ hasWalSummaries }: PostgresVersion): readonly string[] {
  return hasWalSummaries ? ['archive_status', 'summaries'] : ['archive_status']
}

/**
 * Tells whether a base backup has a directory of this name (the last component), wherever it is, as an empty
 * directory. A symbolic link of this name becomes a directory too.
 *
 * `pg_wal` has its own rule: only at the top, see {@link emptyWalDirectories}.
 *
 * @see src/backend/backup/basebackup.c (`excludeDirContents`)
 */
export function isSentEmpty(name: string): boolean {
  return sentEmptyNames.has(name)
}

/**
 * Finds the unlogged relations of a directory: those that have an init fork.
 *
 * @param names - the names of all files in one directory.
 * @returns their relation numbers.
 */
export function unloggedRelations(names: Iterable<string>): Set<number> {
  const numbers = new Set<number>()
  for (const name of names) {
    const file = parseRelationFileName(name)
    if (file?.fork === 'init' && file.segment === 0) numbers.add(file.relationNumber)
  }
  return numbers
}

/**
 * Tells whether a base backup leaves out a file because of the relation it belongs to: every file of a temporary
 * relation, and of an unlogged one all but the init fork. Only where relations are kept: in database directories, and,
 * by newer servers, for unlogged relations alone, in `global`.
 *
 * @param directoryPathname - the file's directory, relative to the data directory.
 * @param name - the file's name in it.
 * @param unlogged - what {@link unloggedRelations} found in that directory.
 * @param version - of the server.
 * @see src/backend/backup/basebackup.c (`sendDir`)
 */
export function isLeftOutRelationFile(
  directoryPathname: string,
  name: string,
  unlogged: ReadonlySet<number>,
  version: PostgresVersion,
): boolean {
  const isDatabase = databaseDirectory.test(directoryPathname)
  if (isDatabase && isTemporaryRelationFileName(name)) return true

  const isGlobal = directoryPathname === 'global' && version.leavesOutUnloggedInGlobal
  if (!isDatabase && !isGlobal) return false
  const file = parseRelationFileName(name)
  return file !== undefined && file.fork !== 'init' && unlogged.has(file.relationNumber)
}
