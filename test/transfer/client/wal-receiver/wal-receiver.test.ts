import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  WalReceiver,
  type WalReceiverOptions,
} from '../../../../src/transfer/client/wal-receiver/wal-receiver.js'
import { parseLsn } from '../../../../src/postgres/lsn.js'
import { walSegmentsOfRange } from '../../../helpers/wal-segments-of-range.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import {
  debianPostgres,
  embeddedPostgres,
  type PostgresPrograms,
} from '../../../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { createStandby } from '../../../helpers/standby.js'
import { WalDirectory } from '../../../../src/target/directory-target.js'
import { resolve } from '../../connection/settings/resolve.js'

const walSegmentSize = 1024 * 1024

const settings = { wal_keep_size: '1GB', wal_sender_timeout: '4s' }

const ends: (() => Promise<unknown> | void)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function optionsFor(
  cluster: Cluster,
  more: Partial<WalReceiverOptions> = {},
): Promise<WalReceiverOptions & { directory: string }> {
  const scratch = createScratchDirectory()
  // Last of all: the next one has a slot of the same name, and the server may learn somewhat later that nobody is there.
  ends.push(async () => await untilNoTemporarySlot(cluster))
  ends.push(() => scratch.remove())
  const [row] = await cluster.sql<{ id: string }>(
    'SELECT system_identifier::text AS id FROM pg_control_system()',
  )
  const directory = join(scratch.path, 'pg_wal')
  return {
    connection: resolve({ host: cluster.socketDirectory, user: 'postgres' }).options,
    directory,
    files: new WalDirectory({ directory, fileMode: 0o600, sync: true }),
    walSegmentSize,
    proof: proofOf(cluster, BigInt(row?.id ?? 0)),
    slot: { kind: 'temporary', name: 'pbmanifest_test' },
    ...more,
  }
}

function proofOf(cluster: Cluster, systemIdentifier: bigint): WalReceiverOptions['proof'] {
  return {
    systemIdentifier,
    majorVersion: cluster.programs.major,
    findWalSender: async (name) => {
      const found = await cluster.sql(`SELECT FROM pg_stat_replication WHERE application_name = '${name}'`)
      return { found: found.length === 1, server: 'the cluster' }
    },
  }
}

async function openReceiver(options: WalReceiverOptions): Promise<WalReceiver> {
  const receiver = await WalReceiver.open(options)
  ends.push(() => receiver.close())
  return receiver
}

async function currentLsn(cluster: Cluster): Promise<bigint> {
  const [row] = await cluster.sql<{ lsn: string }>(
    `SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS lsn`,
  )
  return parseLsn(row?.lsn ?? '') ?? 0n
}

async function slots(
  cluster: Cluster,
): Promise<readonly { name: string; temporary: boolean; active: boolean }[]> {
  return cluster.sql('SELECT slot_name AS name, temporary, active FROM pg_replication_slots')
}

async function untilNoTemporarySlot(cluster: Cluster): Promise<void> {
  await poll('the slot to be gone', async () => (await slots(cluster)).every(({ temporary }) => !temporary))
}

/** Some MiB of WAL, with a switch in the middle of a segment among it. */
async function writeWal(cluster: Cluster): Promise<void> {
  await cluster.sql('CREATE TABLE IF NOT EXISTS filler (n int, t text)')
  await cluster.sql(`INSERT INTO filler SELECT n, repeat('x', 200) FROM generate_series(1, 10000) AS n`)
  await cluster.sql('SELECT pg_switch_wal()')
  await cluster.sql(`INSERT INTO filler SELECT n, repeat('y', 200) FROM generate_series(1, 5000) AS n`)
}

interface ExpectedRange {
  readonly timeline: number
  readonly startLsn: bigint
  readonly endLsn: bigint
}

/** Compares with what the server has, up to the end; returns the names. */
async function expectSameWal(cluster: Cluster, directory: string, range: ExpectedRange): Promise<string[]> {
  const names = [...walSegmentsOfRange(range, walSegmentSize)].map(({ name }) => name)
  for (const [index, name] of names.entries()) {
    const [received, original] = await Promise.all([
      readFile(join(directory, name)),
      readFile(join(cluster.dataDirectory, 'pg_wal', name)),
    ])
    expect(received.length).toBe(walSegmentSize)
    const isLast = index === names.length - 1
    const length = isLast ? Number((range.endLsn - 1n) % BigInt(walSegmentSize)) + 1 : walSegmentSize
    expect(received.subarray(0, length).equals(original.subarray(0, length))).toBe(true)
  }
  return names
}

const servers: readonly {
  name: string
  programs: () => Promise<PostgresPrograms> | PostgresPrograms | undefined
}[] = [
  { name: 'PostgreSQL 18', programs: embeddedPostgres },
  { name: 'PostgreSQL 15', programs: debianPostgres },
]

describe.each(servers.filter(({ name, programs }) => name.endsWith('18') || programs() !== undefined))(
  '$name',
  ({ programs }) => {
    let cluster: Cluster

    beforeAll(async () => {
      const found = await programs()
      if (found === undefined) throw new Error('it was there a moment ago')
      cluster = await createCluster(found, { walSegmentMegabytes: 1, settings })
    })

    afterAll(() => cluster.remove())

    test('WAL that is written meanwhile arrives, byte for byte, and nothing stays on the server', async () => {
      const options = await optionsFor(cluster)
      const receiver = await openReceiver(options)
      const startLsn = await currentLsn(cluster)
      expect(await slots(cluster)).toEqual([{ name: 'pbmanifest_test', temporary: true, active: true }])
      const received = receiver.start(startLsn, 1)
      await writeWal(cluster)
      await writeWal(cluster)
      const endLsn = await currentLsn(cluster)
      await receiver.stop(endLsn)
      await received
      const names = await expectSameWal(cluster, options.directory, { timeline: 1, startLsn, endLsn })
      expect(names.length).toBeGreaterThan(4)
      // The server may have sent more, but never another file before the first.
      const files = (await readdir(options.directory)).toSorted()
      expect(files.slice(0, names.length)).toEqual(names)
      expect((await stat(join(options.directory, names[0] ?? ''))).mode & 0o777).toBe(0o600)
      const done = (await readdir(join(options.directory, 'archive_status'))).toSorted()
      expect(done.slice(0, names.length - 1)).toEqual(names.slice(0, -1).map((name) => `${name}.done`))
      await untilNoTemporarySlot(cluster)
    })

    test('an end that is there already stops it at once', async () => {
      const options = await optionsFor(cluster)
      const receiver = await openReceiver(options)
      const startLsn = await currentLsn(cluster)
      const received = receiver.start(startLsn, 1)
      await writeWal(cluster)
      const endLsn = await currentLsn(cluster)
      await poll('the WAL to be received', async () => receiver.writtenLsn >= endLsn)
      await receiver.stop(endLsn)
      await received
      const names = await expectSameWal(cluster, options.directory, { timeline: 1, startLsn, endLsn })
      expect(names.length).toBeGreaterThan(2)
    })

    test('it waits for an end that the server has not written yet', async () => {
      const receiver = await openReceiver(await optionsFor(cluster))
      const startLsn = await currentLsn(cluster)
      void receiver.start(startLsn, 1)
      const endLsn = startLsn + BigInt(walSegmentSize)
      const stopped = receiver.stop(endLsn)
      let hasStopped = false
      void stopped.finally(() => {
        hasStopped = true
      })
      await poll('all that there is to be received', async () => {
        const rows = await cluster.sql(
          'SELECT FROM pg_stat_replication WHERE sent_lsn = pg_current_wal_flush_lsn() AND reply_time IS NOT NULL',
        )
        return rows.length === 1
      })
      expect(hasStopped).toBe(false)
      await writeWal(cluster)
      await stopped
      expect(receiver.writtenLsn).toBeGreaterThanOrEqual(endLsn)
    })

    test('a server that asks gets its answer in time', async () => {
      // The server ends who is silent for 4 s; on our own we speak every 10 s.
      const receiver = await openReceiver(await optionsFor(cluster))
      const startLsn = await currentLsn(cluster)
      void receiver.start(startLsn, 1)
      await poll('an answer long after the start', async () => {
        expect(await slots(cluster)).toMatchObject([{ active: true }])
        const rows = await cluster.sql(
          `SELECT FROM pg_stat_replication WHERE reply_time > backend_start + interval '8 s'`,
        )
        return rows.length === 1
      })
      await receiver.stop(startLsn)
    })

    test('a slot that exists follows what is on disk, and stays', async () => {
      await cluster.sql(`SELECT pg_create_physical_replication_slot('ours', true)`)
      ends.push(() => cluster.sql(`SELECT pg_drop_replication_slot('ours')`))
      const options = await optionsFor(cluster, { slot: { kind: 'existing', name: 'ours' } })
      const receiver = await openReceiver(options)
      const startLsn = await currentLsn(cluster)
      void receiver.start(startLsn, 1)
      await writeWal(cluster)
      const now = await currentLsn(cluster)
      const finished = now - (now % BigInt(walSegmentSize))
      await poll('the slot to follow', async () => {
        const [row] = await cluster.sql<{ lsn: string }>(
          'SELECT restart_lsn::text AS lsn FROM pg_replication_slots',
        )
        return (parseLsn(row?.lsn ?? '') ?? 0n) >= finished
      })
      await receiver.stop(finished)
      await poll('the slot to be free', async () => (await slots(cluster)).every(({ active }) => !active))
      expect(await slots(cluster)).toEqual([{ name: 'ours', temporary: false, active: false }])
    })

    test('a slot that does not exist is refused before anything begins', async () => {
      const options = await optionsFor(cluster, { slot: { kind: 'existing', name: 'none' } })
      await expect(WalReceiver.open(options)).rejects.toMatchObject({
        code: 'SERVER',
        message: 'replication slot "none" does not exist',
      })
    })

    test('another cluster is refused', async () => {
      const options = await optionsFor(cluster, { proof: proofOf(cluster, 1n) })
      await expect(WalReceiver.open(options)).rejects.toMatchObject({
        code: 'SERVER',
        message: 'system identifier differs between base backup and streaming connection',
      })
      await untilNoTemporarySlot(cluster)
    })

    test('WAL that the server has removed', async () => {
      const receiver = await openReceiver(await optionsFor(cluster, { slot: { kind: 'none' } }))
      await expect(receiver.start(1n, 1)).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(
          /: ERROR: {2}requested WAL segment 000000010000000000000000 has already been removed$/,
        ),
      })
    })

    test('a start in the future', async () => {
      const receiver = await openReceiver(await optionsFor(cluster))
      await expect(receiver.start(1n << 40n, 1)).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(/requested starting point 100\/0 is ahead of the WAL flush position/),
      })
    })

    test('a timeline that is not the server’s', async () => {
      const receiver = await openReceiver(await optionsFor(cluster))
      await expect(receiver.start(await currentLsn(cluster), 3)).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(/could not send replication command "TIMELINE_HISTORY 3": ERROR: {2}/),
      })
    })

    test('the end of the connection is an error at once', async () => {
      const receiver = await openReceiver(await optionsFor(cluster))
      const received = receiver.start(await currentLsn(cluster), 1)
      await poll(
        'the stream',
        async () =>
          (await cluster.sql(`SELECT FROM pg_stat_replication WHERE state = 'streaming'`)).length === 1,
      )
      await cluster.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_replication')
      await expect(received).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(
          /^could not receive data from WAL stream: (?:FATAL: {2}terminating connection due to administrator command|Broken pipe|Connection reset by peer)$/,
        ),
      })
      await expect(receiver.stop(0n)).rejects.toMatchObject({ code: 'SERVER' })
    })

    test('it leaves when the caller’s signal fires', async () => {
      const aborting = new AbortController()
      const receiver = await openReceiver(await optionsFor(cluster, { signal: aborting.signal }))
      const received = receiver.start(await currentLsn(cluster), 1)
      aborting.abort()
      await expect(received).rejects.toMatchObject({ code: 'ABORTED' })
      await receiver.close()
      // It left without a goodbye, of which the server learns somewhat later.
      await untilNoTemporarySlot(cluster)
    })

    test('a file that is in the way', async () => {
      const options = await optionsFor(cluster)
      const startLsn = await currentLsn(cluster)
      const range = { timeline: 1, startLsn, endLsn: startLsn + 1n }
      const name = [...walSegmentsOfRange(range, walSegmentSize)][0]?.name ?? ''
      await mkdir(join(options.directory, name), { recursive: true })
      const receiver = await openReceiver(options)
      await expect(receiver.start(startLsn, 1)).rejects.toMatchObject({
        code: 'IO',
        message: `could not create WAL file "${options.directory}/${name}": File exists`,
      })
    })
  },
)

describeWithDebianPostgres('servers that change', (programs) => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1, settings })
    await cluster.run('pgbench', ['-i', '-s', '1', '-q'])
  })

  afterAll(() => cluster.remove())

  test('a standby, while pgbench writes on its primary', async () => {
    const standby = await createStandby(cluster)
    ends.push(() => standby.remove())
    const options = await optionsFor(standby)
    const receiver = await openReceiver(options)
    const startLsn = await currentLsn(standby)
    const received = receiver.start(startLsn, 1)
    const bench = await cluster.run('pgbench', ['-c', '2', '-t', '1000', '-n'])
    expect(bench.status).toBe(0)
    const endLsn = await currentLsn(cluster)
    await receiver.stop(endLsn)
    await received
    expect(endLsn - startLsn).toBeGreaterThan(BigInt(walSegmentSize))
    await expectSameWal(cluster, options.directory, { timeline: 1, startLsn, endLsn })
  })

  test.each(['fast', 'immediate'] as const)('a server that is shut down %s', async (mode) => {
    const receiver = await openReceiver(await optionsFor(cluster))
    const received = receiver.start(await currentLsn(cluster), 1)
    const streams = `SELECT FROM pg_stat_replication WHERE state = 'streaming'`
    await poll('the stream', async () => (await cluster.sql(streams)).length === 1)
    const refused = received.catch((error: unknown) => error)
    await cluster.stop(mode)
    ends.push(() => cluster.start())
    // A server that shuts down fast says that the copy is over and goes. An update of ours that reaches it then resets the
    // connection, and its last words may be lost with it. What such words come to is fixed in wal-stream.test.ts.
    expect(await refused).toMatchObject({
      code: 'SERVER',
      message: expect.stringMatching(
        mode === 'fast'
          ? /^(replication stream was terminated before stop point$|could not receive data from WAL stream: )/
          : /^could not receive data from WAL stream: /,
      ),
    })
  })

  test('the timeline changes on the way: both are received, with the history', async () => {
    const standby = await createStandby(cluster)
    ends.push(() => standby.remove())
    const cascading = await createStandby(standby)
    ends.push(() => cascading.remove())
    const options = await optionsFor(cascading)
    const receiver = await openReceiver(options)
    const startLsn = await currentLsn(cascading)
    const received = receiver.start(startLsn, 1)
    await writeWal(cluster)
    const beforePromotion = await currentLsn(cluster)
    await poll('the standbys', async () => (await currentLsn(cascading)) >= beforePromotion)
    await standby.promote()
    await writeWal(standby)
    const endLsn = await currentLsn(standby)
    await receiver.stop(endLsn)
    await received
    const history = await readFile(join(options.directory, '00000002.history'))
    expect(history).toEqual(await readFile(join(standby.dataDirectory, 'pg_wal/00000002.history')))
    const switchLsn = parseLsn(history.toString().split('\t')[1] ?? '') ?? 0n
    expect(switchLsn).toBeGreaterThanOrEqual(beforePromotion)
    await expectSameWal(cluster, options.directory, { timeline: 1, startLsn, endLsn: beforePromotion })
    await expectSameWal(standby, options.directory, { timeline: 2, startLsn: switchLsn, endLsn })
    expect(await readdir(join(options.directory, 'archive_status'))).toContain('00000002.history.done')
  })
})
