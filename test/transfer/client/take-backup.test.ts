import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import {
  debianPostgres,
  embeddedPostgres,
  otherPostgres,
  type PostgresPrograms,
} from '../../helpers/postgres-programs.js'
import { poll } from '../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { createStandby } from '../../helpers/standby.js'
import { tablespaceMappings } from '../../helpers/tablespace-mappings.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import {
  expectNothingLeft,
  listTree,
  manifestFileLines,
  runBackupProgram,
  startBackupProgram,
  untilCopying,
} from './backup-program.js'
import { expectEqualSums, fillPgbench, findPgbench, startPgbench } from './pgbench.js'
import { createRestoreSite, expectSound, readServerLog, startRestored } from './restored-cluster.js'

const ends: (() => Promise<unknown> | void)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function mappingArgs(cluster: Cluster, parent: string): Promise<string[]> {
  const mappings = await tablespaceMappings(cluster, parent)
  return mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`)
}

const servers: readonly {
  name: string
  programs: () => Promise<PostgresPrograms> | PostgresPrograms
}[] = [
  { name: 'PostgreSQL 18', programs: embeddedPostgres },
  ...[debianPostgres(), ...otherPostgres()].flatMap((programs) =>
    programs === undefined ? [] : [{ name: `PostgreSQL ${programs.major}`, programs: () => programs }],
  ),
]

const hasPgbench = findPgbench() !== undefined

describe.each(servers)('a backup of $name', ({ name, programs }) => {
  let cluster: Cluster

  beforeAll(async () => {
    // WAL that is fetched at the end has to be there, however many checkpoints there were meanwhile.
    const settings = {
      max_wal_size: '256MB',
      wal_keep_size: '512MB',
      checkpoint_timeout: '30s',
      full_page_writes: true,
    }
    cluster = await createCluster(await programs(), { dataChecksums: true, settings })
    await cluster.createTablespace('fast')
    await cluster.createTablespace('slow')
    if (hasPgbench) await fillPgbench(cluster, 1, 'fast')
    await cluster.sql(
      'CREATE TABLE elsewhere TABLESPACE slow AS SELECT n FROM generate_series(1, 20000) AS n',
    )
    await cluster.sql('CREATE INDEX ON elsewhere (n) TABLESPACE fast')
  })

  afterAll(async () => {
    await cluster.remove()
  })

  test.skipIf(!hasPgbench).each([
    { jobs: 1, more: [] },
    { jobs: 4, more: [] },
    { jobs: 4, more: ['--wal-method=fetch'] },
  ])(
    'under load, by $jobs workers $more, verifies, and a server starts on it with everything there',
    async ({ jobs, more }) => {
      const site = createRestoreSite()
      ends.push(() => site.scratch.remove())
      const load = startPgbench(cluster)
      const mappings = await mappingArgs(cluster, join(site.scratch.path, 'tablespaces'))
      const args = [`--jobs=${jobs}`, ...mappings, ...more, '--max-rate=7M']
      const { status, stdout, stderr } = await runBackupProgram(cluster, { directory: site.directory, args })
      await load.stop()
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout).toContain('backup successfully verified')
      await expectNothingLeft(cluster)

      const ours = await pbmanifest(['verify', '--quiet', site.directory])
      expect(ours).toEqual({ status: 0, stdout: '', stderr: '' })
      await expectPgVerifyBackup(name, site.directory)

      const restored = await startRestored(cluster.programs, site)
      ends.push(() => restored.remove())
      expect(await readServerLog(restored)).toContain('consistent recovery state reached')
      expect(await expectEqualSums(restored)).toBeGreaterThan(0)
      expect(await expectSound(restored, 'postgres')).toBeGreaterThan(50)
      expect(await restored.sql('SELECT count(*)::int AS n FROM elsewhere')).toEqual([{ n: 20_000 }])
    },
  )

  test('of an idle server has the same manifest, whatever the number of workers', async () => {
    const lines = []
    for (const jobs of [1, 8]) {
      const scratch = createScratchDirectory()
      ends.push(() => scratch.remove())
      const args = [`--jobs=${jobs}`, ...(await mappingArgs(cluster, join(scratch.path, 'tablespaces')))]
      const directory = join(scratch.path, 'data')
      const { status, stderr } = await runBackupProgram(cluster, { directory, args })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      lines.push(await manifestFileLines(directory))
    }
    expect(lines[0]?.length).toBeGreaterThan(600)
    expect(lines[1]).toEqual(lines[0])
  })

  test('and another one at the same time both succeed', async () => {
    const runs = []
    for (const number of [1, 2]) {
      const scratch = createScratchDirectory()
      ends.push(() => scratch.remove())
      const args = ['--jobs=2', ...(await mappingArgs(cluster, join(scratch.path, `tablespaces${number}`)))]
      runs.push(startBackupProgram(cluster, { directory: join(scratch.path, 'data'), args }))
    }
    for (const run of runs) {
      expect(await run.result).toMatchObject({ status: 0, stderr: '' })
      expect(await pbmanifest(['verify', '--quiet', run.directory])).toMatchObject({ status: 0 })
    }
    await expectNothingLeft(cluster)
  })
})

describeWithDebianPostgres('a backup of a standby', (programs) => {
  let primary: Cluster
  let standby: Cluster

  beforeAll(async () => {
    primary = await createCluster(programs, { dataChecksums: true, settings: { wal_keep_size: '1GB' } })
    await primary.createTablespace('fast')
    await fillPgbench(primary, 1, 'fast')
    standby = await createStandby(primary)
  })

  afterAll(async () => {
    await standby.remove()
    await primary.remove()
  })

  test.each(['stream', 'fetch'])(
    'under load, with -X %s, verifies, and a server starts on it',
    async (method) => {
      const site = createRestoreSite()
      ends.push(() => site.scratch.remove())
      const load = startPgbench(primary)
      const mappings = await mappingArgs(standby, join(site.scratch.path, 'tablespaces'))
      const args = ['--jobs=4', `--wal-method=${method}`, ...mappings, '--max-rate=7M', '--output=json']
      const { status, stdout, stderr } = await runBackupProgram(standby, { directory: site.directory, args })
      await load.stop()
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(JSON.parse(stdout)).toMatchObject({ fromStandby: true, verification: { verdict: 'verified' } })
      await expectNothingLeft(standby)
      await expectPgVerifyBackup('PostgreSQL 15', site.directory)

      // With it, the server would follow the primary: here it has to do with the WAL that came along.
      await rm(join(site.directory, 'standby.signal'))
      const restored = await startRestored(programs, site)
      ends.push(() => restored.remove())
      expect(await readServerLog(restored)).toContain('consistent recovery state reached')
      await expectEqualSums(restored)
      expect(await expectSound(restored, 'postgres')).toBeGreaterThan(50)
    },
  )

  test('becomes a standby itself with -R', async () => {
    const site = createRestoreSite()
    ends.push(() => site.scratch.remove())
    const mappings = await mappingArgs(primary, join(site.scratch.path, 'tablespaces'))
    const args = ['--write-recovery-conf', '--create-slot', '--slot=follower', ...mappings]
    const { status, stderr } = await runBackupProgram(primary, { directory: site.directory, args })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const follower = await startRestored(programs, site, 'standby')
    ends.push(() => follower.remove())
    await poll('the standby to stream', async () => {
      const rows = await follower.sql(`SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'`)
      return rows.length === 1
    })
    expect(
      await primary.sql(`SELECT FROM pg_replication_slots WHERE slot_name = 'follower' AND active`),
    ).toHaveLength(1)
  })

  test('fails when it is promoted meanwhile', async () => {
    const promoted = await createStandby(primary)
    ends.push(() => promoted.remove())
    const scratch = createScratchDirectory()
    ends.push(() => scratch.remove())
    const directory = join(scratch.path, 'data')
    const mappings = await mappingArgs(promoted, join(scratch.path, 'tablespaces'))
    const running = startBackupProgram(promoted, { directory, args: ['--max-rate=1400k', ...mappings] })
    await untilCopying(running)
    await promoted.promote()
    const { status, stderr } = await running.result
    expect(status).toBe(6)
    expect(stderr).toMatch(/^pbmanifest: error: .*the standby was promoted during online backup/)
    expect(await listTree(directory)).toBeUndefined()
    await expectNothingLeft(promoted)
  })
})

describeWithDebianPostgres('a cluster that changes while it is copied', (programs) => {
  test('has files that vanish, grow and shrink, and the backup is good', async () => {
    const cluster = await createCluster(programs, { dataChecksums: true })
    ends.push(() => cluster.remove())
    await cluster.sql(`
      DO $$ BEGIN FOR n IN 1..30 LOOP
        EXECUTE format('CREATE TABLE passing%s AS SELECT n FROM generate_series(1, 20000) AS n', n);
      END LOOP; END $$`)
    await cluster.sql('CREATE TABLE growing AS SELECT n FROM generate_series(1, 50000) AS n')
    await cluster.sql('CREATE TABLE shrinking AS SELECT n FROM generate_series(1, 200000) AS n')
    await cluster.sql('CHECKPOINT')
    const site = createRestoreSite()
    ends.push(() => site.scratch.remove())
    const args = ['--jobs=2', '--max-rate=3500k', '--output=json']
    const running = startBackupProgram(cluster, { directory: site.directory, args })
    await untilCopying(running)
    // Files of dropped tables are kept, empty, until the next checkpoint.
    await cluster.sql(
      `DO $$ BEGIN FOR n IN 1..30 LOOP EXECUTE 'DROP TABLE passing' || n; END LOOP; END $$; CHECKPOINT`,
    )
    await cluster.sql('INSERT INTO growing SELECT n FROM generate_series(1, 100000) AS n')
    await cluster.sql('DELETE FROM shrinking WHERE n > 100')
    await cluster.sql('VACUUM shrinking')
    await cluster.sql('CHECKPOINT')
    const { status, stdout, stderr } = await running.result
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(JSON.parse(stdout).filesVanished).toBeGreaterThan(0)
    await expectPgVerifyBackup('PostgreSQL 15', site.directory)
    const restored = await startRestored(programs, site)
    ends.push(() => restored.remove())
    expect(await restored.sql('SELECT count(*)::int AS n FROM growing')).toEqual([{ n: 150_000 }])
    expect(await restored.sql('SELECT count(*)::int AS n FROM shrinking')).toEqual([{ n: 100 }])
    expect(await expectSound(restored, 'postgres')).toBeGreaterThan(50)
  })

  test('with -X fetch, fails when its WAL is removed before it was fetched', async () => {
    const settings = { max_wal_size: '2MB', min_wal_size: '2MB', wal_keep_size: 0 }
    const cluster = await createCluster(programs, { walSegmentMegabytes: 1, settings })
    ends.push(() => cluster.remove())
    const scratch = createScratchDirectory()
    ends.push(() => scratch.remove())
    const directory = join(scratch.path, 'data')
    const args = ['--jobs=1', '--wal-method=fetch', '--max-rate=2800k']
    const running = startBackupProgram(cluster, { directory, args })
    await untilCopying(running)
    for (let round = 0; round < 10; round++) await cluster.sql('SELECT pg_switch_wal(); CHECKPOINT')
    const { status, stderr } = await running.result
    expect({ status, stderr }).toEqual({
      status: 6,
      stderr: expect.stringMatching(
        /^pbmanifest: error: requested WAL segment [0-9A-F]{24} has already been removed\n/,
      ),
    })
    expect(await listTree(directory)).toBeUndefined()
    await expectNothingLeft(cluster)
  })

  test('and whose pages are damaged is backed up, and the backup fails at its end', async () => {
    const cluster = await createCluster(programs, { dataChecksums: true })
    ends.push(() => cluster.remove())
    await cluster.sql('CREATE TABLE damaged AS SELECT n FROM generate_series(1, 20000) AS n')
    const [row] = await cluster.sql<{ path: string }>(`SELECT pg_relation_filepath('damaged') AS path`)
    await cluster.stop()
    await overwrite(join(cluster.dataDirectory, row?.path ?? ''), 8192 + 4000)
    await cluster.start()
    const scratch = createScratchDirectory()
    ends.push(() => scratch.remove())
    const directory = join(scratch.path, 'data')
    const { status, stdout, stderr } = await runBackupProgram(cluster, { directory })
    expect({ status, stdout }).toEqual({ status: 6, stdout: '' })
    expect(stderr).toContain(`warning: checksum verification failed in file "${row?.path ?? ''}", block 1:`)
    expect(stderr).toContain('error: checksum verification failure during base backup')
    expect(stderr).toContain('detail: 1 total checksum verification failure\n')
    // As pg_basebackup leaves it.
    const names = await listTree(directory)
    expect(names).toContain('backup_manifest.tmp')
    expect(names).not.toContain('backup_manifest')
    await expectNothingLeft(cluster)
    const again = createScratchDirectory()
    ends.push(() => again.remove())
    const unchecked = await runBackupProgram(cluster, {
      directory: join(again.path, 'data'),
      args: ['--no-verify-checksums'],
    })
    expect(unchecked).toMatchObject({ status: 0, stderr: '' })
  })
})

async function overwrite(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.write(Buffer.from('damage'), 0, 6, offset)
  } finally {
    await file.close()
  }
}

/** The real one, of the only version that is installed with it. */
async function expectPgVerifyBackup(server: string, directory: string): Promise<void> {
  const path = debianPostgres()?.path('pg_verifybackup')
  if (path === undefined || !server.endsWith('15')) return
  const { status, stdout } = await runProgram(path, [directory])
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'backup successfully verified\n' })
}
