import type { PostgresVersion } from './versions.js'

/** Pathnames in a data directory, or in a backup. @see src/include/access/xlog.h, src/include/catalog/pg_control.h */
export const CONTROL_FILE = 'global/pg_control'
export const BACKUP_LABEL = 'backup_label'
export const TABLESPACE_MAP = 'tablespace_map'

/** A directory that initdb makes. */
interface KnownDirectory {
  readonly pathname: string
  /** A base backup has it without what is in it. @see src/backend/backup/basebackup.c (`excludeDirContents`) */
  readonly isSentEmpty?: true
  /** With which setting alone a server of this version needs it; `undefined`: with any. */
  readonly neededWith?: (version: PostgresVersion) => string | undefined
}

/**
 * The directories of a data directory that a server does not make itself; the same in 13 to 19. Without them it does not start,
 * or fails sooner or later: at a checkpoint, in an export of a snapshot. Several are always empty in a base backup, so that a copy
 * which knows files only loses them.
 *
 * What needs them was found out by taking each from a base backup of each version from 13 to 19, and using the server: start,
 * checkpoint, crash, NOTIFY, prepared and serializable transactions, slots, snapshots, statistics, tablespaces. Not here are
 * `pg_wal/archive_status` and `pg_wal/summaries`, which the server makes: see {@link emptyWalDirectories}.
 *
 * @see src/bin/initdb/initdb.c (`subdirs`)
 */
const directories: readonly KnownDirectory[] = [
  { pathname: 'base' },
  { pathname: 'global' },
  { pathname: 'pg_commit_ts' },
  { pathname: 'pg_logical' },
  { pathname: 'pg_logical/mappings' },
  { pathname: 'pg_logical/snapshots' },
  { pathname: 'pg_multixact' },
  { pathname: 'pg_multixact/members' },
  { pathname: 'pg_multixact/offsets' },
  { pathname: 'pg_notify', isSentEmpty: true },
  { pathname: 'pg_replslot', isSentEmpty: true },
  { pathname: 'pg_serial', isSentEmpty: true },
  { pathname: 'pg_snapshots', isSentEmpty: true },
  { pathname: 'pg_stat' },
  { pathname: 'pg_subtrans', isSentEmpty: true },
  { pathname: 'pg_tblspc' },
  { pathname: 'pg_twophase' },
  { pathname: 'pg_wal' },
  { pathname: 'pg_xact' },
  // For dynamic shared memory that is mapped from files.
  { pathname: 'pg_dynshmem', isSentEmpty: true, neededWith: () => 'dynamic_shared_memory_type = mmap' },
  // The process that kept the statistics until 14 does not start without it.
  {
    pathname: 'pg_stat_tmp',
    isSentEmpty: true,
    neededWith: ({ hasStatisticsCollector }) => (hasStatisticsCollector ? undefined : 'pg_stat_statements'),
  },
]

/** Files that initdb, the server or its tools make at the top, and signal files. @see src/include/access/xlog.h, src/include/pmsignal.h */
const topFiles = [
  'PG_VERSION',
  'backup_label.old',
  'current_logfiles',
  'logrotate',
  'pg_hba.conf',
  'pg_ident.conf',
  'postgresql.auto.conf',
  'postgresql.conf',
  'promote',
  'recovery.signal',
  'standby.signal',
  'tablespace_map.old',
] as const

/** Left out of a base backup in every directory, however deep, whatever kind of file it is. */
const leftOutNames: ReadonlySet<string> = new Set([
  '.DS_Store',
  BACKUP_LABEL,
  'backup_manifest',
  'current_logfiles.tmp',
  'postgresql.auto.conf.tmp',
  'postmaster.opts',
  'postmaster.pid',
  TABLESPACE_MAP,
])

/** Likewise, every name that begins so. */
const leftOutPrefixes = ['pgsql_tmp', 'pg_internal.init'] as const

/** Files without pages, where pages are; every name that begins with the last is meant. */
const namesWithoutPages: ReadonlySet<string> = new Set(['pg_control', 'pg_filenode.map', 'PG_VERSION'])
const prefixWithoutPages = 'pg_internal.init'

const sentEmptyNames = new Set(
  directories.filter(({ isSentEmpty }) => isSentEmpty).map(({ pathname }) => pathname),
)

const topNames: ReadonlySet<string> = new Set([...directories.map(({ pathname }) => pathname), ...topFiles])

/**
 * Tells whether a base backup leaves out a file or directory of this name (the last component), wherever it is: what
 * belongs to the running server or to this backup alone.
 *
 * @see src/backend/backup/basebackup.c (`excludeFiles`, `sendDir`)
 */
export function isLeftOutOfBaseBackup(name: string): boolean {
  return leftOutNames.has(name) || leftOutPrefixes.some((prefix) => name.startsWith(prefix))
}

/**
 * Tells whether a base backup has a directory of this name (the last component), wherever it is, as an empty
 * directory. A symbolic link of this name becomes a directory too.
 *
 * `pg_wal` has its own rule: only at the top, see {@link emptyWalDirectories}.
 */
export function isSentEmpty(name: string): boolean {
  return sentEmptyNames.has(name)
}

/**
 * Tells whether a file of this name (the last component) has no pages although it is where relations are kept, by the rules of
 * a server up to 16; newer ones go by the names of relations' files.
 *
 * @see src/backend/backup/basebackup.c (`noChecksumFiles`)
 */
export function isWithoutPages(name: string): boolean {
  return namesWithoutPages.has(name) || name.startsWith(prefixWithoutPages)
}

/** What a server makes in `pg_wal` of a base backup, whatever is there: empty directories. */
export function emptyWalDirectories({ hasWalSummaries }: PostgresVersion): readonly string[] {
  return hasWalSummaries ? ['archive_status', 'summaries'] : ['archive_status']
}

/**
 * Tells whether PostgreSQL itself makes something of this name at the top of a data directory. Other names are of somebody
 * else: of an administrator, of another program, or of the log, whose directory may have any name.
 */
export function isNameOfPostgres(name: string): boolean {
  return topNames.has(name)
}

/** All that a server of any version needs, with any settings. */
export const everNeededDirectories: readonly string[] = directories.map(({ pathname }) => pathname)

/**
 * Names the directories that a server of this version does not make itself, and cannot do without.
 *
 * @returns pathnames, a directory before those in it
 */
export function neededDirectories(version: PostgresVersion): readonly string[] {
  return directories
    .filter(({ neededWith }) => neededWith?.(version) === undefined)
    .map(({ pathname }) => pathname)
}

/** Directories that a server of this version needs only with some settings, and with which. */
export function directoriesOfSettings(
  version: PostgresVersion,
): readonly { readonly pathname: string; readonly setting: string }[] {
  return directories.flatMap(({ pathname, neededWith }) => {
    const setting = neededWith?.(version)
    return setting === undefined ? [] : [{ pathname, setting }]
  })
}

/**
 * Names the directory inside a tablespace that holds the files of one PostgreSQL: `PG_18_202506291`.
 *
 * @param major - the major version, 13 or later.
 * @param catalogVersion - as in pg_control.
 * @see src/include/common/relpath.h (`TABLESPACE_VERSION_DIRECTORY`)
 */
export function tablespaceVersionDirectory(major: number, catalogVersion: number): string {
  return `PG_${major}_${catalogVersion}`
}
