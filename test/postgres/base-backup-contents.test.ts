import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  isLeftOutOfBaseBackup,
  isLeftOutRelationFile,
  isSentEmpty,
  unloggedRelations,
} from '../../src/postgres/base-backup-contents.js'
import { pgBaseBackup } from '../helpers/base-backup.js'
import { nearestVersion } from '../../src/postgres/versions.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'

describe('isLeftOutOfBaseBackup', () => {
  test.each([
    '.DS_Store',
    'backup_label',
    'backup_manifest',
    'current_logfiles.tmp',
    'pgsql_tmp',
    'pgsql_tmp3.0',
    'pg_internal.init',
    'pg_internal.init.123',
    'pg_internal.initX',
    'postgresql.auto.conf.tmp',
    'postmaster.opts',
    'postmaster.pid',
    'tablespace_map',
  ])('leaves out %s', (name) => {
    expect(isLeftOutOfBaseBackup(name)).toBe(true)
  })

  test.each([
    'backup_label.old',
    'current_logfiles',
    'postgresql.auto.conf',
    'standby.signal',
    '.hidden',
    'PG_VERSION',
    'pg_control',
    'tablespace_map.old',
    'pg_notify',
    'pg_wal',
    '16384',
    't3_16384',
  ])('keeps %s', (name) => {
    expect(isLeftOutOfBaseBackup(name)).toBe(false)
  })
})

describe('isSentEmpty', () => {
  test.each([
    'pg_dynshmem',
    'pg_notify',
    'pg_replslot',
    'pg_serial',
    'pg_snapshots',
    'pg_stat_tmp',
    'pg_subtrans',
  ])('empties %s', (name) => {
    expect(isSentEmpty(name)).toBe(true)
  })

  test.each(['pg_wal', 'pg_stat', 'pg_xact', 'base', 'pg_notify2'])('keeps the contents of %s', (name) => {
    expect(isSentEmpty(name)).toBe(false)
  })
})

describe('unloggedRelations', () => {
  test('are those with an init fork', () => {
    const names = ['1', '1_init', '2', '2_vm', '3_init.1', 't3_4_init', '5_init', '5.1', 'PG_VERSION']
    expect(unloggedRelations(names)).toEqual(new Set([1, 5]))
  })
})

describe('isLeftOutRelationFile', () => {
  const unlogged = new Set([16394])

  test.each([
    ['base/5', '16394', 13, true],
    ['base/5', '16394.1', 13, true],
    ['base/5', '16394_fsm', 18, true],
    ['base/5', '16394_init', 18, false],
    ['base/5', '16395', 18, false],
    ['base/5', 't3_16395', 13, true],
    ['base/5', 't3_16395_vm.1', 18, true],
    ['base/5', 'PG_VERSION', 18, false],
    ['pg_tblspc/16384/PG_15_202209061/5', '16394', 15, true],
    ['pg_tblspc/16384/PG_15_202209061/5', 't3_16395', 15, true],
    ['pg_tblspc/16384/PG_15_202209061', '16394', 15, false],
    ['global', '16394', 16, false],
    ['global', '16394', 17, true],
    ['global', '16394_init', 17, false],
    ['global', 't3_16395', 17, false],
    ['base', '16394', 18, false],
    ['base/5/6', '16394', 18, false],
    ['base/five', '16394', 18, false],
    ['extra/5', '16394', 18, false],
    ['extra/global', '16394', 18, false],
  ])('whether %s/%s of version %d is left out: %s', (directory, name, major, isLeftOut) => {
    expect(isLeftOutRelationFile(directory, name, unlogged, nearestVersion(major))).toBe(isLeftOut)
  })
})

/** What a base backup of the data directory would have, by the rules under test: files, and directories with a final `/`. */
async function contentsByTheRules(dataDirectory: string, major: number): Promise<string[]> {
  const visit = async (directory: string): Promise<string[]> => {
    const entries = await readdir(join(dataDirectory, directory), { withFileTypes: true })
    const unlogged = unloggedRelations(entries.map((entry) => entry.name))
    const found: string[] = []
    for (const entry of entries) {
      const { name } = entry
      if (
        isLeftOutOfBaseBackup(name) ||
        isLeftOutRelationFile(directory, name, unlogged, nearestVersion(major))
      )
        continue
      const pathname = directory === '' ? name : `${directory}/${name}`
      if (pathname === 'pg_wal') continue
      if (entry.isFile()) found.push(pathname)
      else found.push(`${pathname}/`, ...(isSentEmpty(name) ? [] : await visit(pathname)))
    }
    return found
  }
  return (await visit('')).toSorted()
}

/** What a backup has, in the same form, without what is not copied from the data directory. */
async function contentsOfBackup(backupDirectory: string): Promise<string[]> {
  const visit = async (directory: string): Promise<string[]> => {
    const entries = await readdir(join(backupDirectory, directory), { withFileTypes: true })
    const found = entries.map(async (entry) => {
      const pathname = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (['backup_label', 'backup_manifest', 'pg_wal'].includes(pathname)) return []
      if (entry.isFile()) return [pathname]
      return [`${pathname}/`, ...(await visit(pathname))]
    })
    return (await Promise.all(found)).flat()
  }
  return (await visit('')).toSorted()
}

describeWithDebianPostgres('the rules on a data directory of PostgreSQL 15', (programs) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
  }, 120_000)
  afterAll(() => cluster.remove())

  test('choose what pg_basebackup copies', async () => {
    await cluster.createTablespace('fast')
    const session = await cluster.client()
    await session.query(`
      CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
      CREATE UNLOGGED TABLE elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
      CREATE TABLE logged TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
      CREATE TEMPORARY TABLE passing AS SELECT n FROM generate_series(1, 1000) AS n;
      CREATE TEMPORARY TABLE passing_elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n`)
    // Gives them free space and visibility maps.
    await session.query('VACUUM unlogged, elsewhere, logged, passing')
    const strays = [
      '.DS_Store',
      '.hidden',
      'backup_label.old',
      'postgresql.auto.conf.tmp',
      'pgsql_tmp.stray',
      'base/1/99990_init',
      'base/1/99990.1',
      'base/1/99990_fsm',
      'base/1/99991.1',
      'base/1/t3_99992',
      'base/1/t3_99992_fsm.1',
      'base/1/t3_x',
      'base/1/099990',
      'base/99990_init',
      'base/99990',
      'global/99990_init',
      'global/99990',
      'global/t3_99992',
      'global/pg_internal.init.1',
      'extra/pg_notify/file',
      'extra/1/99990',
      'extra/1/99990_init',
      'extra/pg_internal.initX',
      'extra/backup_manifest',
      'extra/tablespace_map',
      'extra/pgsql_tmp/file',
      'extra/pg_wal/file',
    ]
    for (const pathname of strays) {
      const path = join(cluster.dataDirectory, pathname)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, '')
    }

    const expected = await contentsByTheRules(cluster.dataDirectory, 15)
    const backup = await pgBaseBackup(cluster, { name: 'contents' })
    await session.end()
    expect(expected).toEqual(expect.arrayContaining(['extra/pg_notify/', 'base/1/99990_init']))
    expect(await contentsOfBackup(backup.directory)).toEqual(expected)
  }, 120_000)
})
