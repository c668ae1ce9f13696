import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SqlClusterFiles } from '../../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { embeddedPostgres, type PostgresPrograms } from '../../../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { connectSql } from '../../../helpers/sql-client.js'

const timeout = 120_000
const largeBytes = 1024 * 1024 * 1024

const ends: readonly [string, (cluster: Cluster) => Promise<unknown>][] = [
  [
    'pg_terminate_backend',
    (cluster) =>
      cluster.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'`,
      ),
  ],
  ['a fast stop of the server', (cluster) => cluster.stop('fast')],
  ['an immediate stop of the server', (cluster) => cluster.stop('immediate')],
  [
    'a kill -9 of the postmaster',
    async (cluster) => {
      process.kill(cluster.pid() ?? 0, 'SIGKILL')
    },
  ],
]

function tests(programs: () => PostgresPrograms | Promise<PostgresPrograms>): void {
  test.each(ends)('%s in the middle of a large file is an error', { timeout }, async (_name, end) => {
    const cluster = await createCluster(await programs())
    onTestFinished(() => cluster.remove())
    const path = join(cluster.dataDirectory, 'large file')
    writeFileSync(path, '')
    truncateSync(path, largeBytes)
    const source = await SqlClusterFiles.open(() => connectSql(cluster))
    onTestFinished(() => source.close())
    let ended: Promise<unknown> | undefined
    let bytes = 0
    const reading = (async () => {
      // As many times as it takes: no server gives back what is read after its end.
      for (;;) {
        const files = [{ pathname: 'large file', kind: 'file', size: largeBytes, modified: 0 }] as const
        for await (const event of source.read(files, undefined)) {
          if (event.type === 'bytes') bytes += event.bytes.length
          if (bytes > 0) ended ??= end(cluster)
        }
      }
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'SERVER',
      message: expect.stringMatching(/^(lost the connection to the server: |terminating connection )/),
    })
    expect(bytes).toBeGreaterThan(0)
    await ended
    await expect(source.listWalFiles()).rejects.toMatchObject({ code: 'SERVER' })
  })
}

describeWithDebianPostgres('PostgreSQL 15, the connection lost', (programs) => tests(() => programs))
describe('PostgreSQL 18, the connection lost', () => {
  tests(embeddedPostgres)
})
