import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { encodePathname, type Pathname } from '../../../src/files/pathname.js'
import { mustRun } from '../../helpers/run-program.js'

/** What a server's own backup of {@link makeDataDirectory} lists, whatever its version. */
export const listedFiles: readonly Pathname[] = [
  'PG_VERSION',
  'backup_label',
  'tablespace_map',
  'backup_label.old',
  'current_logfiles',
  'postgresql.auto.conf',
  'standby.signal',
  '.hidden',
  'log/postgresql.log',
  'odd "name"\n',
  'not utf-8 \udcff\udcc0',
  'not utf-8 \udcfe/file',
  'base/1/PG_VERSION',
  'base/1/1259',
  'base/1/1259_vm',
  'base/1/1259.1',
  // The init fork alone of an unlogged relation.
  'base/1/16400_init',
  // Not names of relations.
  'base/1/016400',
  'base/1/16400_old',
  'base/1/16400.0',
  'base/1/t3_5_old',
  // Not a directory of relations.
  'base/1/inner/16401',
  'base/1/inner/16401_init',
  'base/1/inner/t3_5',
  'base/t3_5',
  'global/t3_5',
  'global/2000_init',
  'global/pg_filenode.map',
  'pg_xact/0000',
  'pg_tblspc/note',
  'pg_tblspc/16384/PG_15_202209061/5/16390',
  'pg_tblspc/16384/PG_15_202209061/5/16391_init',
  'pg_tblspc/16385/PG_15_202209061/5/16392',
  'pg_tblspc/16386/PG_15_202209061/5/16393',
]

/** Up to 16, a server does not look for unlogged relations in `global`. */
export const listedUpTo16: readonly Pathname[] = ['global/2000', 'global/2000_fsm']

/** What no backup lists, though it is a file. */
export const leftOutFiles: readonly Pathname[] = [
  'postmaster.pid',
  'postmaster.opts',
  'postgresql.auto.conf.tmp',
  'current_logfiles.tmp',
  'backup_manifest',
  `backup_manifest_${'0'.repeat(32)}.0`,
  `backup_manifest_${'0123456789abcdef'.repeat(2)}.12`,
  'pg_internal.init',
  'pg_internal.init.123',
  'global/pg_internal.init',
  'base/1/pg_internal.init.99',
  'base/1/backup_label',
  'base/1/tablespace_map',
  'log/backup_manifest',
  'log/.DS_Store',
  'pgsql_tmp/file',
  'base/pgsql_tmp/pgsql_tmp12.0',
  'base/1/pgsql_tmp12.0',
  'base/1/16400',
  'base/1/16400_vm',
  'base/1/16400.1',
  'base/1/t3_16500',
  'base/1/t3_16500_fsm',
  'base/1/t3_16500.1',
  'pg_wal/000000010000000000000001',
  'pg_wal/archive_status/000000010000000000000001.done',
  'pg_dynshmem/mmap',
  'pg_notify/0000',
  'pg_replslot/slot/state',
  'pg_serial/0000',
  'pg_snapshots/1',
  'pg_stat_tmp/global.stat',
  'pg_subtrans/0000',
  'log/pg_notify/0000',
  'pg_tblspc/16384/stray',
  'pg_tblspc/16384/PG_14_202107181/5/16390',
  'pg_tblspc/16384/PG_15_202209061/5/16391',
  'pg_tblspc/16384/PG_15_202209061/5/t3_16391',
  'pg_tblspc/16384/PG_15_202209061/pgsql_tmp/pgsql_tmp1.0',
  // The same file as one below pg_tblspc/16386.
  'spaces/inside/PG_15_202209061/5/16393',
]

/** What is no file and no directory. */
export const specialFiles: readonly Pathname[] = [
  'base/1/fifo',
  'broken link',
  'linked directory',
  'linked file',
]

/**
 * Makes a directory like a cluster's, with all that a backup takes and leaves out: tablespace 16384 outside, 16385 in
 * place, 16386 inside the data directory.
 */
export async function makeDataDirectory(parent: string): Promise<string> {
  const directory = join(parent, 'data')
  const outside = join(parent, 'tablespace')
  mkdirSync(outside)
  mkdirSync(join(directory, 'pg_tblspc'), { recursive: true })
  mkdirSync(join(directory, 'spaces/inside'), { recursive: true })
  mkdirSync(join(directory, 'base/1/empty directory'), { recursive: true })
  symlinkSync(outside, join(directory, 'pg_tblspc/16384'))
  symlinkSync(join(directory, 'spaces/inside'), join(directory, 'pg_tblspc/16386'))
  for (const pathname of [...listedFiles, ...listedUpTo16, ...leftOutFiles]) writeFile(directory, pathname)
  symlinkSync('PG_VERSION', join(directory, 'linked file'))
  symlinkSync('base', join(directory, 'linked directory'))
  symlinkSync('nowhere', join(directory, 'broken link'))
  await mustRun('mkfifo', [join(directory, 'base/1/fifo')])
  return directory
}

function writeFile(directory: string, pathname: Pathname): void {
  const path = Buffer.concat([Buffer.from(`${directory}/`), encodePathname(pathname)])
  mkdirSync(Buffer.from(dirname(path.toString('latin1')), 'latin1'), { recursive: true })
  writeFileSync(path, `the file ${pathname.length}\n`)
}
