import type { PostgresVersion } from './versions.js'

/** Without these no server starts, or it fails sooner or later: at a checkpoint, in an export of a snapshot. */
const neededByAll = [
  'base',
  'global',
  'pg_commit_ts',
  'pg_logical',
  'pg_logical/mappings',
  'pg_logical/snapshots',
  'pg_multixact',
  'pg_multixact/members',
  'pg_multixact/offsets',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_xact',
] as const

/** The process that kept the statistics until 14 does not start without it. */
const neededByStatisticsCollector = 'pg_stat_tmp'

/** For dynamic shared memory that is mapped from files. */
const neededWithMmap = 'pg_dynshmem'

/** All that a server of any version needs, with any settings. */
export const everNeededDirectories: readonly string[] = [
  ...neededByAll,
  neededByStatisticsCollector,
  neededWithMmap,
]

/**
 * Names the directories that a server of this version does not make itself, and cannot do without. Several are always
 * empty in a base backup, so that a copy which knows files only loses them.
 *
 * Found out by taking each directory from a base backup of each version from 13 to 19, and using the server: start,
 * checkpoint, crash, NOTIFY, prepared and serializable transactions, slots, snapshots, statistics, tablespaces. Not among
 * them: `pg_wal/archive_status` and `pg_wal/summaries`, which the server makes; `pg_dynshmem`, which it needs with
 * `dynamic_shared_memory_type = mmap`; and, without the statistics collector, `pg_stat_tmp`, which pg_stat_statements needs.
 *
 * @returns pathnames, a directory before those in it
 */
export function neededDirectories({ hasStatisticsCollector }: PostgresVersion): readonly string[] {
  return hasStatisticsCollector ? [...neededByAll, neededByStatisticsCollector] : neededByAll
}

/** Directories that a server of this version needs only with some settings, and with which. */
export function directoriesOfSettings({
  hasStatisticsCollector,
}: PostgresVersion): readonly { readonly pathname: string; readonly setting: string }[] {
  const withMmap = { pathname: neededWithMmap, setting: 'dynamic_shared_memory_type = mmap' }
  const withStatements = { pathname: neededByStatisticsCollector, setting: 'pg_stat_statements' }
  return hasStatisticsCollector ? [withMmap] : [withMmap, withStatements]
}
