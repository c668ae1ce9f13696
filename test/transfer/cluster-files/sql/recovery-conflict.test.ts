import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { SqlClusterFiles } from '../../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { connectSql } from '../../../helpers/sql-client.js'
import { createStandby } from '../../../helpers/standby.js'
import { unsized } from '../../../helpers/unsized.js'

const bytesOfFile = 100 * 1024 * 1024
const timeout = 240_000

/** One that waits for no query. */
async function createImpatientStandby(primary: Cluster): Promise<Cluster> {
  const standby = await createStandby(primary, {
    max_standby_streaming_delay: 0,
    hot_standby_feedback: false,
    log_recovery_conflict_waits: true,
    deadlock_timeout: '100ms',
  })
  onTestFinished(() => standby.remove())
  return standby
}

/** Until the standby says that what was there is in the way of the replay of that. */
async function removeRows(primary: Cluster, standby: Cluster, words: RegExp): Promise<void> {
  await primary.sql('DELETE FROM rows')
  await poll(`the standby to say ${words.source}`, async () => {
    // What else runs on the primary may need them a moment longer.
    await primary.sql('VACUUM rows')
    return words.test(readFileSync(standby.logFile, 'utf8'))
  })
}

describeWithDebianPostgres('PostgreSQL 15, a standby', (programs) => {
  async function createPrimary(): Promise<Cluster> {
    const primary = await createCluster(programs, { settings: { autovacuum: false } })
    onTestFinished(() => primary.remove())
    await primary.sql('CREATE TABLE rows AS SELECT n FROM generate_series(1, 10000) AS n')
    return primary
  }

  test.each([
    [
      'a file is read',
      async (source: SqlClusterFiles) => {
        const events: string[] = []
        for await (const { type } of source.read(unsized('PG_VERSION'), undefined)) events.push(type)
        expect(events).toEqual(['file', 'bytes', 'end'])
      },
    ],
    [
      'files are listed',
      async (source: SqlClusterFiles) => {
        const listed = await source.listFiles(undefined)
        expect(listed.map(({ pathname }) => pathname)).toContain('PG_VERSION')
      },
    ],
    [
      'WAL is listed',
      async (source: SqlClusterFiles) => {
        expect(await source.listWalFiles()).not.toEqual([])
      },
    ],
  ])('%s over another connection when replay ended the one that was there', { timeout }, async (_, ask) => {
    const primary = await createPrimary()
    const standby = await createImpatientStandby(primary)
    let connections = 0
    const source = await SqlClusterFiles.open(async () => {
      const client = await connectSql(standby)
      client.on('error', () => {})
      // Such a snapshot is in the way as long as its connection is there.
      if (connections++ === 0) {
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
        await client.query('SELECT count(*) FROM public.rows')
      }
      return client
    })
    onTestFinished(() => source.close())
    await removeRows(primary, standby, /terminating connection due to conflict with recovery/)
    await ask(source)
    expect(connections).toBe(2)
  })

  test('goes on with a file when replay cancelled the query that read it', { timeout }, async () => {
    const primary = await createPrimary()
    const standby = await createImpatientStandby(primary)
    writeFileSync(join(standby.dataDirectory, 'large file'), '')
    truncateSync(join(standby.dataDirectory, 'large file'), bytesOfFile)
    const source = await SqlClusterFiles.open(() => connectSql(standby))
    onTestFinished(() => source.close())
    const events: string[] = []
    let bytes = 0
    for await (const event of source.read(unsized('large file'), undefined)) {
      if (event.type !== 'bytes') events.push(event.type)
      else {
        // While we wait the server does too, in the middle of its query: it cannot be cancelled then. Or it is just before.
        if (bytes === 0) await removeRows(primary, standby, /recovery still waiting|canceling statement/)
        bytes += event.bytes.length
      }
    }
    expect(events).toEqual(['file', 'end'])
    expect(bytes).toBe(bytesOfFile)
    await poll('the cancelled query to be counted', async () => {
      const [row] = await standby.sql<{ conflicts: string }>(
        `SELECT confl_snapshot AS conflicts FROM pg_stat_database_conflicts WHERE datname = 'postgres'`,
      )
      return Number(row?.conflicts) > 0
    })
  })
})
