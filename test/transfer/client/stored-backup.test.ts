import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BackupReport, restoreBackup, type VerifyReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { listObjects } from '../../../src/source/store/list-objects.js'
import { parseStoreAddress } from '../../../src/source/store/store-address.js'
import { StoreClient } from '../../../src/source/store/store-client.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { FaultProxy } from '../../helpers/fault-proxy.js'
import { poll } from '../../helpers/poll.js'
import { newestPostgres, type PostgresPrograms } from '../../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { errorAnswer } from '../../helpers/stores/store-proxy.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, runBackupProgram, startBackupProgram } from './backup-program.js'
import { createRestoreSite, startRestored } from './restored-cluster.js'

const limit = 240_000

const ignored =
  'pbmanifest: warning: --no-sync has no effect in an object store: what it has taken is durable\n'

const expectedSums = [{ small: 500_500, large: 200_010_000 }]

const sums = `SELECT (SELECT sum(n) FROM small)::int AS small, (SELECT sum(n) FROM large)::int AS large`

const address = (name: string): string => `s3://${BUCKET}/${name}`

async function createFilledCluster(programs: PostgresPrograms): Promise<Cluster> {
  const cluster = await createCluster(programs, { dataChecksums: true, walSegmentMegabytes: 1 })
  await cluster.createTablespace('fast')
  await cluster.sql(`
    CREATE TABLE small TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE large AS SELECT n, repeat(md5(n::text), 20) AS filler FROM generate_series(1, 20000) AS n;
  `)
  return cluster
}

/** The names of the objects below an address. */
async function objectsIn(store: ObjectStore, place: string): Promise<ReadonlySet<string>> {
  store.proxy.reset()
  const client = new StoreClient(parseStoreAddress(place), { env: store.env }, 4)
  const objects = await listObjects(client, undefined)
  client.close()
  return new Set(objects.map(({ pathname }) => pathname))
}

type ReportOfCommand = BackupReport & { readonly verification: VerifyReport }

/** Of all that have bytes the store keeps the manifest's checksum; but of those in parts, CRC-32C only. */
function filesWithStoredChecksum(manifest: string): number {
  const entries = manifest.matchAll(/"Size": (\d+),.*"Checksum-Algorithm": "(CRC32C|SHA256)"/g)
  return [...entries].filter(([, size, algorithm]) => {
    const isInParts = Number(size) > 8 * 1024 * 1024
    return size !== '0' && (algorithm === 'CRC32C' || !isInParts)
  }).length
}

/** Takes it, verifies it where it lies, restores it, and starts a server. */
async function takeVerifyRestore(
  cluster: Cluster,
  store: ObjectStore,
  args: readonly string[],
): Promise<unknown> {
  const directory = address(`cycle${cluster.programs.major}/`)
  const run = await runBackupProgram(cluster, { directory, args: [...args, '--output=json'], env: store.env })
  expect(run).toMatchObject({ status: 0, stderr: ignored })
  const shown = directory.slice(0, -1)
  const { verification, ...report } = JSON.parse(run.stdout) as ReportOfCommand
  expect(report).toMatchObject({
    directory,
    path: shown,
    format: 'plain',
    manifest: { path: `${shown}/backup_manifest` },
    tablespaces: [{ directory: expect.stringMatching(new RegExp(`^${shown}/pg_tblspc/\\d+$`)) }],
  })
  expect(verification).toMatchObject({
    verdict: 'verified',
    problems: [],
    checksumsFrom: 'copying',
  })
  expect(verification.walRecords).toBeGreaterThan(0)
  const verified = await pbmanifest(['verify', '--output=json', shown], store.env)
  expect(JSON.parse(verified.stdout)).toMatchObject({
    verdict: 'verified',
    problems: [],
    checksumsFrom: 'files',
  })
  const outside = store.proxy.requests.filter(({ url }) => !/[/=]cycle\d+(?:%2F|\/)/.test(url))
  expect(outside).toEqual([])
  const site = createRestoreSite()
  const tablespaceMappings = report.tablespaces.map(({ location }) => ({
    from: location,
    to: join(site.scratch.path, 'tablespace'),
  }))
  const source = { address: shown, store: { env: store.env } }
  await restoreBackup(source, { directory: site.directory, tablespaceMappings, jobs: 2 })
  const manifest = readFileSync(join(site.directory, 'backup_manifest'), 'utf8')
  const byStore = await pbmanifest(['verify', '-n', '--checksums=stored', '--output=json', shown], store.env)
  expect(JSON.parse(byStore.stdout)).toMatchObject({
    verdict: 'sampled',
    sample: { stored: { files: filesWithStoredChecksum(manifest) } },
  })
  const objects = (await objectsIn(store, shown)).keys()
  const becomes = args.includes('-R') ? 'standby' : 'primary'
  const made = [...objects].filter((name) => !name.includes('/') || name.startsWith('pg_wal/'))
  const segments = made.filter((name) => /^pg_wal\/[0-9A-F]{24}$/.test(name))
  expect(segments.length).toBeGreaterThan(0)
  // Of WAL that is streamed, the last segment has not come to its end.
  for (const segment of args.includes('-Xfetch') ? segments : segments.slice(0, -1)) {
    expect(made).toContain(`pg_wal/archive_status/${segment.slice('pg_wal/'.length)}.done`)
  }
  expect(made.includes('standby.signal')).toBe(becomes === 'standby')
  expect(made).not.toContain('pbmanifest.unfinished')
  const settings = readFileSync(join(site.directory, 'postgresql.auto.conf'), 'utf8')
  expect(/^# Do not edit[^]*\nprimary_conninfo = '/.test(settings)).toBe(becomes === 'standby')
  const restored = await startRestored(cluster.programs, site, becomes)
  const found = await restored.sql(sums)
  await restored.remove()
  return found
}

describeWithDebianPostgres('a backup in an object store', (programs) => {
  let cluster: Cluster
  let store: ObjectStore

  beforeAll(async () => {
    cluster = await createFilledCluster(programs)
    store = await startStore('s3rver')
    store.proxy.keepsChecksumsOfParts = true
  }, limit)

  afterEach(() => store.proxy.reset())

  afterAll(async () => {
    await store.close()
    await cluster.remove()
  })

  test('is verified where it lies, restored, and a server starts on it', { timeout: limit }, async () => {
    const sumsAfter = await takeVerifyRestore(cluster, store, ['-j3', '-R'])
    expect(sumsAfter).toEqual(expectedSums)
    await expectNothingLeft(cluster)
  })

  test(
    'without WAL, goes on when a connection is lost in the middle of files',
    { timeout: limit },
    async () => {
      const server = await FaultProxy.start(cluster.socketDirectory, cluster.port)
      let cuts = 0
      // What there is of the first file, which is the largest, is taken back.
      server.limit = ({ text }) =>
        text.includes('SELECT place, size, modified') && cuts++ === 0 ? 10_000_000 : undefined
      try {
        const env = { ...store.env, PGHOST: server.directory }
        const args = ['-j1', '-Xnone', '--retries=1']
        const run = await runBackupProgram(cluster, { directory: address('again'), args, env })
        expect(run).toMatchObject({
          status: 0,
          stderr: expect.stringContaining('worker 0 has connected again, attempt 1 of 1') as string,
        })
        const objects = await objectsIn(store, address('again'))
        expect([...objects].filter((name) => name.startsWith('pg_wal/'))).toEqual([])
        const verified = await pbmanifest(['verify', '-n', '-q', address('again')], store.env)
        expect(verified).toEqual({ status: 0, stdout: '', stderr: '' })
      } finally {
        server.close()
      }
    },
  )

  test('that fails is removed, and says why', { timeout: limit }, async () => {
    store.proxy.at = ({ method, url }) =>
      method === 'PUT' && url.includes('/base/1/') ? errorAnswer(507, 'QuotaExceeded') : undefined
    const run = await runBackupProgram(cluster, { directory: address('failing'), env: store.env })
    expect(run).toMatchObject({ status: 5, stdout: '' })
    expect(run.stderr).toMatch(
      new RegExp(
        `error: could not write "s3://${BUCKET}/failing/base/1/\\d+[^"]*": QuotaExceeded: as the test`,
      ),
    )
    expect([...(await objectsIn(store, address('failing')))]).toEqual([])
    await expectNothingLeft(cluster)
  })

  test(
    'that is being taken keeps others out, and is removed when it is interrupted',
    { timeout: limit },
    async () => {
      const held: (() => void)[] = []
      let isReleased = false
      store.proxy.at = async ({ method, url }) => {
        if (method === 'PUT' && url.includes('/busy/base/') && !isReleased) {
          await new Promise<void>((resolve) => held.push(resolve))
        }
        return undefined
      }
      const running = startBackupProgram(cluster, { directory: address('busy'), env: store.env })
      await poll('files to be on their way', async () => held.length > 0)
      const other = await runBackupProgram(cluster, { directory: address('busy'), env: store.env })
      expect(other).toMatchObject({ status: 5, stdout: '' })
      expect(other.stderr.replace(ignored, '').split('\n')).toEqual([
        `pbmanifest: error: "s3://${BUCKET}/busy" holds a backup of pbmanifest that is being taken, or was not finished`,
        expect.stringContaining(`detail: It is written by process ${running.process.pid} on `),
        expect.stringContaining(`(aws s3 rm --recursive s3://${BUCKET}/busy/)`),
        '',
      ])
      running.process.kill('SIGINT')
      isReleased = true
      for (const release of held) release()
      expect(await running.result).toMatchObject({ status: 130 })
      expect([...(await objectsIn(store, address('busy')))]).toEqual([])
    },
  )

  test('that was killed looks unfinished, and is not written over', { timeout: limit }, async () => {
    const never = new Promise<undefined>(() => {})
    let held = 0
    store.proxy.at = ({ method, url }) => {
      if (method !== 'PUT' || !url.includes('/killed/global/')) return undefined
      held++
      return never
    }
    const running = startBackupProgram(cluster, { directory: address('killed'), env: store.env })
    await poll('files to be on their way', async () => held > 0)
    running.process.kill('SIGKILL')
    await running.result
    const objects = await objectsIn(store, address('killed'))
    expect([objects.has('pbmanifest.unfinished'), objects.has('backup_manifest')]).toEqual([true, false])
    const other = await runBackupProgram(cluster, { directory: address('killed'), env: store.env })
    expect(other).toMatchObject({ status: 5, stderr: expect.stringContaining('or was not finished') })
    expect(await pbmanifest(['verify', address('killed')], store.env)).toMatchObject({ status: 5 })
    await expectNothingLeft(cluster)
  })

  test.each([
    [['-Ft'], 'a backup in an object store is taken in plain format, each file an object'],
    [['--waldir=/wal'], 'WAL directory location cannot be specified for a backup in an object store'],
    [['--pgdata=s3://'], 'invalid address "s3://"'],
    [['--pgdata=/srv', '--endpoint-url=http://x'], '--endpoint-url is for use with s3://'],
  ])('with %j is refused', async (args, message) => {
    const { status, stderr } = await pbmanifest(['backup', `--pgdata=${address('x')}`, ...args], store.env)
    expect([status, stderr]).toEqual([2, expect.stringContaining(`error: ${message}\n`)])
  })
})

describe.each(newestPostgres())(
  'a backup of $name in an object store, from an agent,',
  ({ programs: find }) => {
    let cluster: Cluster
    let store: ObjectStore

    beforeAll(async () => {
      cluster = await createFilledCluster(await find())
      store = await startStore('s3rver')
      store.proxy.keepsChecksumsOfParts = true
    }, limit)

    afterAll(async () => {
      await store.close()
      await cluster.remove()
    })

    test('is verified where it lies, restored, and a server starts on it', { timeout: limit }, async () => {
      const agent = await AgentProgram.start(cluster)
      const args = [`--agent=${agent.socketDirectory}`, '-Xfetch', '--manifest-checksums=SHA256']
      const sumsAfter = await takeVerifyRestore(cluster, store, ['-j2', ...args])
      expect(sumsAfter).toEqual(expectedSums)
      await agent.stop()
    })
  },
)
