import { pgBaseBackup } from './base-backup.js'
import { type Cluster, createCluster } from './cluster.js'
import { copyBackupTo } from './copy-backup.js'
import { writeOddFiles } from './odd-files.js'
import { type PlainBackup, readPlainBackup } from './plain-backup.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { sharedFixture } from './shared-fixture.js'

/**
 * A backup of PostgreSQL 15 with much in it, made once per test run: two tablespaces, a second database, a table of
 * several MB, unlogged and temporary tables, odd file names. CRC32C manifest, WAL included, WAL segments of 1 MiB.
 *
 * Nobody may change it: take a `copyBackup`.
 */
export async function realBackup(programs: PostgresPrograms): Promise<PlainBackup> {
  const root = await sharedFixture('real-backup-15', async (directory) => {
    const cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
    try {
      await fillCluster(cluster)
      const session = await cluster.client()
      await session.query('CREATE TEMPORARY TABLE passing AS SELECT generate_series(1, 1000) AS n')
      await copyBackupTo(await pgBaseBackup(cluster, { name: 'real' }), directory)
      await session.end()
    } finally {
      await cluster.remove()
    }
  })
  return readPlainBackup(root)
}

/** Gives a new cluster two tablespaces, a second database, tables of all kinds, and odd file names. */
export async function fillCluster(cluster: Cluster): Promise<void> {
  await cluster.createTablespace('fast')
  await cluster.createTablespace('slow')
  await cluster.sql('CREATE DATABASE second')
  await cluster.sql(tables)
  await cluster.sql(tables, 'second')
  await writeOddFiles(cluster.dataDirectory)
}

const tables = `
  CREATE TABLE large AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 16000) AS n;
  CREATE INDEX ON large (n);
  CREATE TABLE small TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
  CREATE TABLE empty (n int) TABLESPACE slow;
  CREATE TABLE other TABLESPACE slow AS SELECT n FROM generate_series(1, 5000) AS n;
  CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
  CREATE UNLOGGED TABLE unlogged_elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
`
