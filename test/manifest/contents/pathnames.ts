import * as fc from 'fast-check'

/** Names that mean something to a backup, in some place or in any, and some that do not. */
const names = fc.oneof(
  fc.constantFrom(
    'base',
    'global',
    'pg_tblspc',
    'pg_wal',
    'inner',
    'spaces',
    'extra',
    '1',
    '5',
    '16384',
    '16385',
  ),
  fc.constantFrom(
    'PG_18_202506291',
    'PG_17_202406281',
    'PG_VERSION',
    'pg_control',
    'archive_status',
    '.hidden',
  ),
  fc.constantFrom(
    '16400',
    '16400_init',
    '16400_vm',
    '16400.1',
    '016400',
    '16401',
    't3_16500',
    't3_16500_fsm',
    't3_x',
  ),
  fc.constantFrom('pg_notify', 'pg_stat_tmp', 'pg_replslot', 'pg_dynshmem', 'pgsql_tmp', 'pgsql_tmp1.0'),
  fc.constantFrom(
    'pg_internal.init',
    'pg_internal.init.7',
    'postmaster.pid',
    'backup_label',
    'backup_label.old',
  ),
  fc.constantFrom(
    'backup_manifest',
    'tablespace_map',
    'pbmanifest.unfinished',
    `backup_manifest_${'0'.repeat(32)}.3`,
  ),
)

/** Pathnames such as there may be in a data directory. */
export const pathnames: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('', '', 'base/5/', 'pg_tblspc/16384/', 'pg_tblspc/16384/PG_18_202506291/5/', 'global/'),
    fc.array(names, { minLength: 1, maxLength: 3 }),
  )
  .map(([start, components]) => start + components.join('/'))
