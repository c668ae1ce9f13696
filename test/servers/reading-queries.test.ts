import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { SqlClusterFiles } from '../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { connectSql } from '../helpers/sql-client.js'
import { poll } from '../helpers/poll.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'
import { startBackupProgram } from '../transfer/client/backup-program.js'

const MiB = 1024 * 1024
const MOST_BYTES = 128 * MiB
const timeout = 240_000

/** What docs/backup-over-sql.md says of the queries that read files. */
describe('a query reads no more than 128 MiB', () => {
  let cluster: Cluster

  beforeAll(async () => {
    const settings = { wal_keep_size: '1GB', checkpoint_timeout: '1h', log_statement: 'all' }
    cluster = await createCluster(await embeddedPostgres(), { settings })
    // One file takes several queries.
    await cluster.sql(`
      CREATE TABLE large (filler text STORAGE PLAIN);
      INSERT INTO large SELECT repeat('x', 4000) FROM generate_series(1, 40000);
      CHECKPOINT;
      CREATE TABLE dirty AS SELECT n, repeat('x', 4000) AS filler FROM generate_series(1, 1000) AS n`)
  }, timeout)

  afterAll(() => cluster.remove())

  test('in a backup, when it fetches many segments of WAL', { timeout }, async () => {
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const directory = join(scratch.path, 'backup')
    const logBefore = readLog().length
    const args = ['--checkpoint=spread', '--wal-method=fetch', '--jobs=2']
    const backup = startBackupProgram(cluster, { directory, args })
    // The checkpoint takes its time, unless somebody is in a hurry; what is written meanwhile is part of the backup. Who waits for
    // it to be done may do so before its redo point is taken; once it writes, that is behind it.
    await poll('the checkpoint of the backup', async () => {
      const rows = await cluster.sql(`SELECT FROM pg_stat_activity WHERE wait_event = 'CheckpointWriteDelay'`)
      return rows.length === 1
    })
    await cluster.sql(`
      DO $$ BEGIN
        FOR n IN 1..10 LOOP
          PERFORM pg_logical_emit_message(false, 'test', 'x');
          PERFORM pg_switch_wal();
        END LOOP;
      END $$`)
    // Now it is to hurry. Another CHECKPOINT would have it do so as well, but might be done, too, before the backup looks where
    // it starts.
    await cluster.sql('ALTER SYSTEM SET checkpoint_completion_target = 0')
    await cluster.sql('SELECT pg_reload_conf()')
    expect(await backup.result).toMatchObject({ status: 0, stderr: '' })

    const queries = readingQueries(readLog().slice(logBefore))
    const sizes = queries.map(({ pathnames, limit }) => {
      const bytes = pathnames.reduce((sum, pathname) => sum + sizeOf(join(directory, pathname)), 0)
      return pathnames.length === 1 ? Math.min(bytes, limit) : bytes
    })
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MOST_BYTES)
    const ofWal = queries.filter(({ pathnames }) => pathnames.some((name) => name.startsWith('pg_wal/')))
    expect(ofWal.flatMap(({ pathnames }) => pathnames).length).toBeGreaterThan(8)
    expect(ofWal.length).toBeGreaterThan(1)
    // Files are read together all the same.
    expect(queries.some(({ pathnames }) => pathnames.length > 20)).toBe(true)
    expect(queries.some(({ offset }) => offset === MOST_BYTES)).toBe(true)
  })

  test('also of files that have grown since they were listed', { timeout }, async () => {
    const source = await SqlClusterFiles.open(() => connectSql(cluster))
    onTestFinished(() => source.close())
    const grown = [100, 100, 300, 20, 1].map((size, index) => {
      const pathname = `grown ${index}`
      const path = join(cluster.dataDirectory, pathname)
      writeFileSync(path, '')
      truncateSync(path, size * MiB)
      onTestFinished(() => rmSync(path))
      return { pathname, size: size * MiB }
    })
    const wanted = [{ pathname: 'gone', size: 1 }, ...grown.map(({ pathname }) => ({ pathname, size: 1 }))]
    const logBefore = readLog().length
    const read: { pathname: string; size: number }[] = []
    for await (const event of source.read(wanted, undefined)) {
      if (event.type === 'file') read.push({ pathname: event.pathname, size: 0 })
      const last = read.at(-1)
      if (event.type === 'bytes' && last !== undefined) last.size += event.bytes.length
    }
    expect(read).toEqual(grown)
    const queries = readingQueries(readLog().slice(logBefore))
    expect(queries.map(({ pathnames, offset }) => [pathnames[0], offset])).toEqual([
      ['gone', 0],
      ['grown 1', 0],
      ['grown 2', 0],
      ['grown 2', 128 * MiB],
      ['grown 2', 256 * MiB],
      ['grown 3', 0],
    ])
  })

  function readLog(): string {
    return readFileSync(cluster.logFile, 'utf8')
  }
})

interface ReadingQuery {
  readonly pathnames: readonly string[]
  readonly offset: number
  /** What it says that it reads at most. */
  readonly limit: number
}

/** The queries that read files, as the server's log has them. */
function readingQueries(log: string): ReadingQuery[] {
  return log.split(/LOG: {2}statement: /).flatMap((statement) => {
    if (!statement.startsWith('COPY') || !statement.includes('pg_read_binary_file(path, at,')) return []
    const [, list = ''] = /string_to_array\('([0-9a-f ]*)'/.exec(statement) ?? []
    const pathnames = list.split(' ').map((hex) => Buffer.from(hex, 'hex').toString())
    const [, from, end] = /generate_series\(([0-9]+)::bigint, ([0-9]+)::bigint/.exec(statement) ?? []
    const [, limit] = /WHERE total <= ([0-9]+)/.exec(statement) ?? []
    return [{ pathnames, offset: Number(from ?? 0), limit: Number(limit ?? Number(end) - Number(from)) }]
  })
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
