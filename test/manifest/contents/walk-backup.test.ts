import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readClusterLayout, walkBackup } from '../../../src/manifest/contents/walk-backup.js'
import { pgBaseBackup } from '../../helpers/base-backup.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'

/** What a base backup has by the rules under test: files, and directories with a final `/`. */
function contentsByTheRules(directory: string): string[] {
  const walk = walkBackup({ directory, layout: readClusterLayout(directory), filesOf: 'copy' })
  const found = [...walk].flatMap(({ pathname, kind }) => {
    if (['backup_label', 'tablespace_map', 'pg_wal'].includes(pathname) || kind === 'left-out') return []
    return [kind === 'directory' ? `${pathname}/` : pathname]
  })
  return found.toSorted()
}

/** What a backup has, in the same form, without what is not copied from the data directory. */
async function contentsOfBackup(backupDirectory: string): Promise<string[]> {
  const visit = async (directory: string): Promise<string[]> => {
    const entries = await readdir(join(backupDirectory, directory), { withFileTypes: true })
    const found = entries.map(async (entry) => {
      const pathname = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (['backup_label', 'backup_manifest', 'pg_wal'].includes(pathname)) return []
      if (entry.isFile()) return [pathname]
      // A tablespace is listed for itself.
      if (/^pg_tblspc\/[0-9]+$/.test(pathname)) return await visit(pathname)
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
  }, 240_000)
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

    const expected = contentsByTheRules(cluster.dataDirectory)
    const backup = await pgBaseBackup(cluster, { name: 'contents' })
    await session.end()
    expect(expected).toEqual(expect.arrayContaining(['extra/pg_notify/', 'base/1/99990_init']))
    expect(await contentsOfBackup(backup.directory)).toEqual(expected)
  }, 240_000)
})
