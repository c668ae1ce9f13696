import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { debianPostgres, embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { mountSmallDisk } from '../../helpers/small-disk.js'
import { tablespaceMappings } from '../../helpers/tablespace-mappings.js'
import {
  expectNothingLeft,
  listTree,
  runBackupProgram,
  type RunningBackup,
  startBackupProgram,
  untilCopying,
} from './backup-program.js'
import { failureOf } from './failure-of.js'

/** So slow that there is time to do something to it. */
const slowly = ['--jobs=2', '--max-rate=1400k']

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

/** The target of the test, and where its tablespace goes. */
function target(): string {
  return join(scratch.path, 'backup')
}

function tablespaceTarget(): string {
  return join(scratch.path, 'tablespaces')
}

async function mapping(cluster: Cluster): Promise<string[]> {
  const mappings = await tablespaceMappings(cluster, tablespaceTarget())
  return mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`)
}

async function startSlowBackup(cluster: Cluster, ...more: readonly string[]): Promise<RunningBackup> {
  const args = [...slowly, ...(await mapping(cluster)), ...more]
  const running = startBackupProgram(cluster, { directory: target(), args })
  await untilCopying(running)
  return running
}

async function expectNothingHere(): Promise<void> {
  expect(await listTree(target())).toBeUndefined()
  expect(await listTree(tablespaceTarget())).toBeUndefined()
}

/**
 * How a connection of ours ends that the server ends. Its last words are lost with what cannot be written any more: a
 * connection that is being written to may be known as broken before they are read.
 */
const endOfConnection = String.raw`(?:terminating connection due to administrator command|lost the connection to the server: (?:server closed|Broken pipe|Connection reset)|could not receive data from WAL stream: (?:server closed|Broken pipe|Connection reset))`

const servers = [
  { name: 'PostgreSQL 18', programs: embeddedPostgres },
  { name: 'PostgreSQL 15', programs: () => Promise.resolve(debianPostgres()) },
].filter(({ name }) => name.endsWith('18') || debianPostgres() !== undefined)

async function createFilledCluster(programs: (typeof servers)[number]['programs']): Promise<Cluster> {
  const found = await programs()
  if (found === undefined) throw new Error('it was there a moment ago')
  // So many connections that it is never the server that has too few of something, where something else is to run out.
  const cluster = await createCluster(found, { dataChecksums: true, settings: { max_connections: 200 } })
  await cluster.createTablespace('elsewhere')
  await cluster.sql(`
    CREATE TABLE filler AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 100000) AS n;
    CREATE TABLE other TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 1000) AS n;
    CHECKPOINT`)
  return cluster
}

describe.each(servers)('a backup of $name that fails in the middle', ({ programs }) => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await createFilledCluster(programs)
  })

  afterAll(async () => {
    await cluster.remove()
  })

  test.each([
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const)('at %s', async (signal, status, word) => {
    const running = await startSlowBackup(cluster)
    running.process.kill(signal)
    expect(await running.result).toEqual({
      status,
      signal: null,
      stdout: '',
      stderr: `pbmanifest: ${word}\n`,
    })
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('with --create-slot: the slot goes, too', async () => {
    const running = await startSlowBackup(cluster, '--create-slot', '--slot=made')
    const slots = (): Promise<readonly object[]> => cluster.sql('SELECT slot_name FROM pg_replication_slots')
    expect(await slots()).toEqual([{ slot_name: 'made' }])
    running.process.kill('SIGINT')
    expect(await running.result).toMatchObject({ status: 130, stderr: 'pbmanifest: interrupted\n' })
    expect(await slots()).toEqual([])
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test.each([
    ["one worker's connection", `query LIKE '%COPY%pg_read_binary_file%'`],
    ["the leader's, which holds backup mode", `query LIKE '%dattablespace%'`],
    ["the leader's, which lists files", `query LIKE '%COPY%pg_ls_dir%'`],
    ["the WAL receiver's", `backend_type = 'walsender'`],
  ])('when the server ends %s', async (_whose, condition) => {
    const running = await startSlowBackup(cluster, '--retries=0')
    await poll('a connection of this kind', async () => {
      const rows = await cluster.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name LIKE 'pbmanifest%' AND ${condition} LIMIT 1`,
      )
      return rows.length > 0
    })
    expect(failureOf(await running.result)).toEqual({
      status: 6,
      error: expect.stringMatching(endOfConnection),
    })
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  // What the server ends is the end of the process at the other side of a connection, in the middle of a file.
  test('goes on when the server ends the connections of workers', async () => {
    const running = await startSlowBackup(cluster, '--output=json')
    for (let ended = 0; ended < 3;) {
      ended += await poll('a worker that reads', async () => {
        const rows = await cluster.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name LIKE 'pbmanifest%' AND query LIKE '%COPY%pg_read_binary_file%' LIMIT 1`,
        )
        return rows.length
      })
    }
    const { status, stdout, stderr } = await running.result
    expect(stderr).toMatch(
      new RegExp(
        `^pbmanifest: warning: worker [01] has connected again, attempt 1 of 3: ${endOfConnection}`,
        'm',
      ),
    )
    expect(status).toBe(0)
    const { workers }: { readonly workers: readonly { readonly reconnects: number }[] } = JSON.parse(stdout)
    const warnings = stderr.split('\n').filter((line) => line.includes('has connected again'))
    expect(workers.reduce((sum, { reconnects }) => sum + reconnects, 0)).toBe(warnings.length)
    // Nobody writes there: the files of the tables are the same, byte for byte.
    const files = await cluster.sql<{ path: string }>(
      `SELECT pg_relation_filepath(oid) AS path FROM pg_class WHERE relname IN ('filler', 'other')`,
    )
    for (const { path } of files) {
      const copied = await readFile(join(target(), path))
      expect(copied.equals(await readFile(join(cluster.dataDirectory, path)))).toBe(true)
    }
    await expectNothingLeft(cluster)
  })

  test('leaves its files with --no-clean, but never a manifest', async () => {
    const running = await startSlowBackup(cluster, '--no-clean')
    running.process.kill('SIGTERM')
    expect(await running.result).toMatchObject({ status: 143 })
    await expectNothingLeft(cluster)
    const names = await readdir(target())
    expect(names).toContain('base')
    expect(names).not.toContain('backup_manifest')
  })

  test('empties a directory that was there and empty, and leaves it', async () => {
    await mkdir(target(), { mode: 0o700 })
    const running = await startSlowBackup(cluster)
    running.process.kill('SIGTERM')
    expect(await running.result).toMatchObject({ status: 143 })
    expect(await listTree(target())).toEqual([])
  })

  test('killed by SIGKILL, is recognised by the next run', async () => {
    const running = await startSlowBackup(cluster)
    running.process.kill('SIGKILL')
    expect(await running.result).toMatchObject({ signal: 'SIGKILL' })
    // The server notices by itself.
    await expectNothingLeft(cluster)
    const second = await runBackupProgram(cluster, { directory: target(), args: await mapping(cluster) })
    expect(failureOf(second)).toEqual({
      status: 5,
      error: expect.stringContaining(`directory "${target()}" holds an unfinished backup of pbmanifest (id `),
    })
    expect(second.stderr).toContain('pbmanifest: hint:')
  })

  test.each(['fast', 'immediate', 'kill -9'] as const)('when the server is shut down: %s', async (mode) => {
    try {
      const running = await startSlowBackup(cluster)
      if (mode === 'kill -9') process.kill(cluster.pid() ?? 0, 'SIGKILL')
      else await cluster.stop(mode)
      const result = await running.result
      expect(failureOf(result)).toEqual({
        status: 6,
        // The first to notice may be a connection that is just being made.
        error: expect.stringMatching(
          /terminating connection|server closed the connection|lost the connection|could not receive data from WAL stream|replication stream was terminated|shutting down|crash|connection to server .* failed/,
        ),
      })
      await expectNothingHere()
    } finally {
      await cluster.remove()
      cluster = await createFilledCluster(programs)
    }
  })
})

describe('a backup that cannot be taken', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await createFilledCluster(embeddedPostgres)
  })

  afterAll(async () => {
    await cluster.remove()
  })

  test.each([
    [
      'with a slot that does not exist',
      ['--slot=nowhere'],
      {},
      6,
      /replication slot "nowhere" does not exist/,
    ],
    ['with a user that does not exist', ['--username=nobody'], {}, 6, /role "nobody" does not exist/],
    ['of a server that is not there', ['--host=/nowhere'], {}, 6, /connection to server on socket/],
  ] as const)('%s', async (_what, more, env, status, message) => {
    const args = [...(await mapping(cluster)), ...more]
    const result = await runBackupProgram(cluster, { directory: target(), args, env })
    expect(failureOf(result)).toEqual({ status, error: expect.stringMatching(message) })
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('into a directory that is not empty', async () => {
    await mkdir(target())
    await writeFile(join(target(), 'precious'), '')
    const result = await runBackupProgram(cluster, { directory: target(), args: await mapping(cluster) })
    expect(failureOf(result)).toEqual({
      status: 5,
      error: expect.stringContaining(`directory "${target()}" exists but is not empty`),
    })
    expect(await listTree(target())).toEqual(['precious'])
  })

  test('with a tablespace that would go where it is', async () => {
    const result = await runBackupProgram(cluster, { directory: target() })
    expect(failureOf(result)).toEqual({
      status: 5,
      error: expect.stringMatching(/directory ".*elsewhere" exists but is not empty/),
    })
    expect(result.stderr).toContain('--tablespace-mapping')
    await expectNothingHere()
  })

  test('with a tablespace that goes to a directory that is not empty', async () => {
    const [{ to } = { to: '' }] = await tablespaceMappings(cluster, tablespaceTarget())
    await mkdir(to, { recursive: true })
    await writeFile(join(to, 'precious'), '')
    const result = await runBackupProgram(cluster, { directory: target(), args: await mapping(cluster) })
    expect(failureOf(result)).toEqual({
      status: 5,
      error: expect.stringContaining(`directory "${to}" exists but is not empty`),
    })
    expect(await listTree(target())).toBeUndefined()
    expect(await listTree(to)).toEqual(['precious'])
  })

  test('without privilege on one function', async () => {
    await cluster.sql(`
      CREATE ROLE weak LOGIN REPLICATION;
      GRANT pg_read_all_settings TO weak;
      GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_ls_waldir(),
                                pg_backup_start(text, boolean), pg_backup_stop(boolean) TO weak`)
    const args = ['--username=weak', ...(await mapping(cluster))]
    const result = await runBackupProgram(cluster, { directory: target(), args })
    expect(failureOf(result)).toEqual({
      status: 6,
      error: expect.stringMatching(/permission denied for function pg_read_binary_file/),
    })
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('with a wrong password', async () => {
    const rules = join(cluster.dataDirectory, 'pg_hba.conf')
    await writeFile(rules, `local all careful scram-sha-256\n${await readFile(rules, 'utf8')}`)
    await cluster.sql(`CREATE ROLE careful LOGIN REPLICATION PASSWORD 'right'; SELECT pg_reload_conf()`)
    const args = ['--username=careful', ...(await mapping(cluster))]
    const wrong = { directory: target(), args, env: { PGPASSWORD: 'wrong' } }
    expect(failureOf(await runBackupProgram(cluster, wrong))).toEqual({
      status: 6,
      error: expect.stringContaining('password authentication failed for user "careful"'),
    })
    const none = { directory: target(), args: [...args, '--no-password'] }
    expect(failureOf(await runBackupProgram(cluster, none))).toEqual({
      status: 6,
      error: expect.stringContaining('no password supplied'),
    })
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('when there are not enough connections for the workers', async () => {
    const small = await createCluster(cluster.programs, {
      settings: { max_connections: 12, max_wal_senders: 2 },
    })
    try {
      const args = ['--jobs=20', '--max-rate=700k']
      const result = await runBackupProgram(small, { directory: target(), args })
      expect(failureOf(result)).toEqual({
        status: 6,
        error: expect.stringMatching(/sorry, too many clients already/),
      })
      await expectNothingLeft(small)
      await expectNothingHere()
    } finally {
      await small.remove()
    }
  })

  test('when there is no WAL sender left', async () => {
    const full = await createCluster(cluster.programs, { settings: { max_wal_senders: 1 } })
    try {
      const first = startBackupProgram(full, { directory: join(scratch.path, 'first'), args: slowly })
      await untilCopying(first)
      const result = await runBackupProgram(full, { directory: target() })
      expect(failureOf(result)).toEqual({
        status: 6,
        error: expect.stringMatching(/number of requested standby connections exceeds/),
      })
      expect(await listTree(target())).toBeUndefined()
      first.process.kill('SIGTERM')
      expect(await first.result).toMatchObject({ status: 143 })
    } finally {
      await full.remove()
    }
  })

  test('when the disk is full', async () => {
    const mount = join(scratch.path, 'small')
    const unmount = mountSmallDisk(mount, 'size=8m')
    if (unmount === undefined) {
      process.stderr.write('\nSKIPPED "when the disk is full": we may not mount a tmpfs\n\n')
      return
    }
    try {
      const directory = join(mount, 'backup')
      const result = await runBackupProgram(cluster, { directory, args: await mapping(cluster) })
      expect(failureOf(result)).toEqual({
        status: 5,
        error: expect.stringMatching(/could not write file ".*": No space left on device/),
      })
      expect(await readdir(mount)).toEqual([])
      await expectNothingLeft(cluster)
    } finally {
      unmount()
    }
  })

  // With the fewest, there is none left to load our own program. So slow that not all is copied before all workers would be there.
  test.each([40, 64, 128])('when the workers need more files than may be open: %i', async (files) => {
    const args = ['--jobs=128', '--max-rate=500k', ...(await mapping(cluster))]
    const wrapper = ['prlimit', `--nofile=${files}:${files}`]
    const result = await runBackupProgram(cluster, { directory: target(), args, wrapper })
    expect(failureOf(result)).toEqual({
      status: 5,
      error: expect.stringContaining('Too many open files'),
    })
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('with more workers than there can be', async () => {
    const args = ['--jobs=2000', ...(await mapping(cluster))]
    const result = await runBackupProgram(cluster, { directory: target(), args })
    expect(failureOf(result)).toEqual({
      status: 2,
      error: expect.stringContaining('invalid value "2000" for option -j/--jobs'),
    })
  })
})
