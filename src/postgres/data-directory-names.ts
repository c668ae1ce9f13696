/** Directories that initdb makes; the same in 13 to 19. */
const directories = [
  'base',
  'global',
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_logical',
  'pg_multixact',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_xact',
] as const

/** Files that initdb, the server or its tools make at the top, and signal files. */
const files = [
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

const names: ReadonlySet<string> = new Set([...directories, ...files])

/**
 * Tells whether PostgreSQL itself makes something of this name at the top of a data directory. Other names are of somebody
 * else: of an administrator, of another program, or of the log, whose directory may have any name.
 *
 * @see src/bin/initdb/initdb.c (`subdirs`), src/include/access/xlog.h, src/include/pmsignal.h
 */
export function isNameOfPostgres(name: string): boolean {
  return names.has(name)
}
