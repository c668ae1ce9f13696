import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { SqlBackupMode } from '../../../../src/transfer/cluster-files/sql/sql-backup-mode.js'
import { parseBackupLabel } from '../../../../src/postgres/backup-label.js'
import { parseTablespaceMap } from '../../../../src/postgres/tablespace-map.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { embeddedPostgres, type PostgresPrograms } from '../../../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { connectSql } from '../../../helpers/sql-client.js'
import { createStandby } from '../../../helpers/standby.js'

const timeout = 240_000

async function openMode(cluster: Cluster): Promise<SqlBackupMode> {
  const mode = await SqlBackupMode.open(() => connectSql(cluster))
  onTestFinished(() => mode.close())
  return mode
}

function tests(programs: () => PostgresPrograms | Promise<PostgresPrograms>): void {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster(await programs(), { dataChecksums: true, walSegmentMegabytes: 1 })
    await cluster.createTablespace('fast')
  }, timeout)
  afterAll(() => cluster.remove())

  test('tells what a backup must know of the cluster', async () => {
    const [row] = await cluster.sql<{ id: string }>(
      'SELECT system_identifier::text AS id FROM pg_control_system()',
    )
    expect(await (await openMode(cluster)).facts()).toEqual({
      majorVersion: cluster.programs.major,
      systemIdentifier: BigInt(row?.id ?? 0),
      walSegmentSize: 1024 * 1024,
      hasDataChecksums: true,
      hasGroupAccess: false,
      isInRecovery: false,
    })
  })

  test('starts and stops a backup, whose label says the same', { timeout }, async () => {
    const mode = await openMode(cluster)
    const start = await mode.start({ label: "größe 'quoted' $1", fast: true })
    const end = await mode.stop({ waitForArchive: false })
    expect(start.startTimeline).toBe(1)
    expect(end.endTimeline).toBe(1)
    expect(end.endLsn).toBeGreaterThan(start.startLsn)
    expect(parseBackupLabel(end.backupLabel.toString(), 'backup_label')).toMatchObject({
      ...start,
      label: "größe 'quoted' $1",
      backupFrom: 'primary',
    })
    expect(parseTablespaceMap(end.tablespaceMap.toString(), 'tablespace_map')).toMatchObject([
      { location: expect.stringMatching(/\/tablespaces\/fast$/) },
    ])
    // A second backup on the same connection.
    expect((await mode.start({ label: 'again', fast: true })).startLsn).toBeGreaterThanOrEqual(end.endLsn)
    await mode.stop({ waitForArchive: false })
  })

  test(
    'gives what the server says of a stop without a start, and of a second start',
    { timeout },
    async () => {
      const mode = await openMode(cluster)
      await expect(mode.stop({ waitForArchive: false })).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(/^backup is not in progress$/),
      })
      await mode.start({ label: 'x', fast: true })
      await expect(mode.start({ label: 'x', fast: true })).rejects.toMatchObject({
        code: 'SERVER',
        message: 'a backup is already in progress in this session',
      })
    },
  )

  test.each(['two\nlines', 'carriage\rreturn', 'null\0byte'])('refuses the label %j', async (label) => {
    const mode = await openMode(cluster)
    await expect(mode.start({ label, fast: true })).rejects.toMatchObject({ code: 'USAGE' })
  })

  test('has no history of the first timeline', async () => {
    const mode = await openMode(cluster)
    expect(await mode.timelineHistory(1)).toBeUndefined()
  })

  test(
    'a close ends a start that waits for a checkpoint, and leaves nothing running',
    { timeout },
    async () => {
      await cluster.sql('CREATE TABLE IF NOT EXISTS dirty AS SELECT generate_series(1, 100000) AS n')
      const mode = await openMode(cluster)
      await mode.facts()
      const starting = mode.start({ label: 'spread', fast: false }).catch((error: unknown) => error)
      await poll('the start', async () => (await backupBackends()) === 1)
      await mode.close()
      expect(await starting).toMatchObject({ code: 'SERVER' })
      await poll('the end of the start', async () => (await backupBackends()) === 0)
      await mode.close()
    },
  )

  async function backupBackends(): Promise<number> {
    const rows = await cluster.sql(
      `SELECT FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query ~ 'SELECT lsn::text.*backup'`,
    )
    return rows.length
  }

  test('tells that the backup is lost when its connection is ended', { timeout }, async () => {
    const mode = await openMode(cluster)
    await mode.start({ label: 'x', fast: true })
    await cluster.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    )
    expect(await mode.lost).toMatchObject({
      code: 'SERVER',
      message: 'terminating connection due to administrator command',
    })
    await expect(mode.stop({ waitForArchive: false })).rejects.toMatchObject({ code: 'SERVER' })
  })
}

describeWithDebianPostgres('PostgreSQL 15, backup mode over SQL', (programs) => {
  tests(() => programs)

  test('on a standby: timelines, and the promotion that ends the backup', { timeout }, async () => {
    const primary = await createCluster(programs)
    onTestFinished(() => primary.remove())
    const standby = await createStandby(primary)
    onTestFinished(() => standby.remove())
    const mode = await openMode(standby)
    expect(await mode.facts()).toMatchObject({ isInRecovery: true })
    const start = await mode.start({ label: 'standby', fast: true })
    const end = await mode.stop({ waitForArchive: false })
    expect([start.startTimeline, end.endTimeline]).toEqual([1, 1])
    expect(parseBackupLabel(end.backupLabel.toString(), 'backup_label')).toMatchObject({
      ...start,
      backupFrom: 'standby',
    })
    await mode.start({ label: 'promoted', fast: true })
    await standby.promote()
    expect(await mode.lost).toMatchObject({
      code: 'SERVER',
      message: 'the standby was promoted during online backup',
    })
    await expect(mode.stop({ waitForArchive: false })).rejects.toMatchObject({
      code: 'SERVER',
      message: 'the standby was promoted during online backup',
      hint: expect.stringContaining('should not be used'),
    })
    const later = await openMode(standby)
    expect(await later.start({ label: 'next timeline', fast: true })).toMatchObject({ startTimeline: 2 })
    expect((await later.timelineHistory(2))?.toString()).toMatch(/^1\t0\//)
    expect(await later.stop({ waitForArchive: false })).toMatchObject({ endTimeline: 2 })
  })
})
describe('PostgreSQL 18, backup mode over SQL', () => {
  tests(embeddedPostgres)
})
