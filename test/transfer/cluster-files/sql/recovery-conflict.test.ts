import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { SqlClusterFiles } from '../../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import { createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createStandby } from '../../../helpers/standby.js'

const bytesOfFile = 100 * 1024 * 1024

describeWithDebianPostgres('PostgreSQL 15, a standby', (programs) => {
  test('goes on with a file when replay cancelled the query that read it', { timeout: 120_000 }, async () => {
    const primary = await createCluster(programs)
    onTestFinished(() => primary.remove())
    await primary.sql('CREATE TABLE rows AS SELECT n FROM generate_series(1, 10000) AS n')
    const standby = await createStandby(primary, {
      max_standby_streaming_delay: 0,
      hot_standby_feedback: false,
      log_recovery_conflict_waits: true,
      deadlock_timeout: '100ms',
    })
    onTestFinished(() => standby.remove())
    writeFileSync(join(standby.dataDirectory, 'large file'), '')
    truncateSync(join(standby.dataDirectory, 'large file'), bytesOfFile)
    const source = await SqlClusterFiles.open(() => standby.client())
    onTestFinished(() => source.close())
    const events: string[] = []
    let bytes = 0
    const files = [{ pathname: 'large file', kind: 'file', size: 1, modified: 0 }] as const
    for await (const event of source.read(
      files.map(({ pathname }) => pathname),
      undefined,
    )) {
      if (event.type !== 'bytes') events.push(event.type)
      else {
        // While we wait the server does too, in the middle of its query.
        if (bytes === 0) {
          await primary.sql('DELETE FROM rows')
          await primary.sql('VACUUM rows')
          await poll('replay to wait for the query', async () =>
            readFileSync(standby.logFile, 'utf8').includes('recovery still waiting'),
          )
        }
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
