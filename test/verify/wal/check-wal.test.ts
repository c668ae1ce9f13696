import { copyFile, mkdir, open, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup, type VerifyOptions, type VerifyProgress } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { parseLsn } from '../../../src/postgres/lsn.js'
import { walSegmentsOfRange } from '../../helpers/wal-segments-of-range.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { formatManifest, writeTree } from '../../cli/small-backup.js'
import { createCluster } from '../../helpers/cluster.js'
import { openFilesBelow } from '../../helpers/open-files.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { makeNeededDirectories } from '../../helpers/needed-directories.js'
import { packTarBackup } from '../../helpers/tar-backups.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { sameForAnyJobs, type WhatWasFound } from '../same-for-any-jobs.js'

const size = 1024 * 1024
const versionFile = { path: 'PG_VERSION', size: 3, checksum: '994e7be2' }

/** Enough for several threads: see `walk-run.ts`. */
const ENOUGH_BYTES = 70 * size

describe('a range of many segments', () => {
  let scratch: ScratchDirectory
  let directory: string
  let names: string[]
  let range: { start: string; end: string }
  let records: number
  const repairs: (() => Promise<void>)[] = []

  beforeAll(async () => {
    scratch = createScratchDirectory()
    directory = join(scratch.path, 'backup')
    await makeNeededDirectories(directory)
    const settings = { max_wal_size: '2GB', wal_keep_size: '2GB', checkpoint_timeout: '1h' }
    const cluster = await createCluster(await embeddedPostgres(), { walSegmentMegabytes: 1, settings })
    try {
      const lsn = async (): Promise<string> => {
        const rows = await cluster.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
        return rows[0]?.lsn ?? ''
      }
      await cluster.sql('CREATE EXTENSION pg_walinspect')
      const start = await lsn()
      await cluster.sql(
        `SELECT count(pg_logical_emit_message(false, '', repeat('x', 1000 + n % 800))) FROM generate_series(1, 55000) AS n`,
      )
      range = { start, end: await lsn() }
      // pg_walinspect reads what has reached the disk.
      await cluster.sql('CHECKPOINT')
      const [counted] = await cluster.sql<{ records: number }>(
        `SELECT count(*)::int AS records FROM pg_get_wal_records_info('${start}', '${range.end}')`,
      )
      records = counted?.records ?? 0
      await cluster.sql('SELECT pg_switch_wal()')
      const lsns = { timeline: 1, startLsn: parseLsn(start) ?? 0n, endLsn: parseLsn(range.end) ?? 0n }
      names = [...walSegmentsOfRange(lsns, size)].map(({ name }) => name)
      for (const name of names) {
        await copyFile(join(cluster.dataDirectory, 'pg_wal', name), join(directory, 'pg_wal', name))
      }
    } finally {
      await cluster.remove()
    }
    const backup_manifest = formatManifest([versionFile], range)
    await writeTree(directory, { PG_VERSION: '18\n', backup_manifest })
  }, 240_000)

  afterEach(async () => {
    for (const repair of repairs.splice(0)) await repair()
  })

  afterAll(() => scratch.remove())

  const pathOf = (index: number): string => join(directory, 'pg_wal', names.at(index) ?? '')

  async function flip(index: number, at: number): Promise<void> {
    const handle = await open(pathOf(index), 'r+')
    try {
      const byte = Buffer.alloc(1)
      await handle.read(byte, 0, 1, at)
      byte.writeUInt8(byte.readUInt8() ^ 1)
      await handle.write(byte, 0, 1, at)
    } finally {
      await handle.close()
    }
  }

  async function damage(index: number, at: number): Promise<void> {
    await flip(index, at)
    repairs.push(() => flip(index, at))
  }

  async function move(from: string, to: string): Promise<void> {
    await rename(from, to)
    repairs.push(() => rename(to, from))
  }

  async function verify(options: VerifyOptions = {}): Promise<WhatWasFound> {
    const report = await verifyBackup(directory, options)
    expect(report.seconds.wal).toBeGreaterThan(0)
    return sameForAnyJobs(report)
  }

  /** In the main thread, and in as many threads as this range gets: two, also of eight. */
  async function verifyWithAnyJobs(numbers: readonly number[] = [1, 8]): Promise<WhatWasFound> {
    const reports: WhatWasFound[] = []
    for (const jobs of numbers) reports.push(await verify({ jobs }))
    const [first] = reports
    if (first === undefined) throw new Error('no number of jobs')
    for (const report of reports) expect(report).toEqual(first)
    return first
  }

  test('is read by any number of threads, and has as many records as PostgreSQL counts', async () => {
    expect(names.length * size).toBeGreaterThan(ENOUGH_BYTES)
    const report = await verifyWithAnyJobs([1, 2, 8])
    const bytes = (parseLsn(range.end) ?? 0n) - (parseLsn(range.start) ?? 0n)
    expect(report).toMatchObject({ verdict: 'verified', walRecords: records, walBytes: Number(bytes) })
    expect(report.notChecked.map(({ what }) => what)).not.toContain('wal-records')
  })

  test.each([0.1, 0.5, 0.95])('that is damaged at %f of its length has the same report', async (place) => {
    const index = Math.floor(names.length * place)
    await damage(index, 500_000)
    const report = await verifyWithAnyJobs()
    expect(report.problems).toEqual([
      {
        kind: 'wal-invalid',
        path: `pg_wal/${names[index]}`,
        message: 'WAL parsing failed for timeline 1',
        timeline: 1,
        range: { startLsn: range.start, endLsn: range.end },
        segment: names[index],
        offset: expect.any(Number),
        lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
        detail: expect.stringMatching(
          `^segment "${names[index]}", offset [0-9]+, record at [0-9A-F/]+: .*\\(range ${range.start} to ${range.end}\\)$`,
        ),
      },
    ])
  })

  test('that is damaged where the parts of threads meet has the same report', async () => {
    for (const at of [0, 2, 16, 32, 40, 50]) {
      await flip(16, at)
      const report = await verifyWithAnyJobs()
      await flip(16, at)
      expect(report.problems).toHaveLength(1)
    }
  })

  test.each(['.tar', '.tar.zst'] as const)('is read the same in archives that end in %s', async (ending) => {
    await damage(-3, 500_000)
    const plain = await verify()
    const packed = join(scratch.path, `packed${ending}`)
    await packTarBackup(directory, packed, [], ending)
    for (const jobs of [1, 8]) {
      const { problems, walRecords, walBytes } = await verifyBackup(packed, { jobs })
      expect({ problems, walRecords, walBytes }).toEqual({
        problems: plain.problems,
        walRecords: plain.walRecords,
        walBytes: plain.walBytes,
      })
    }
    expect(plain.walRecords).toBeGreaterThan(0.9 * records)
  })

  test('that is damaged twice is told about once', async () => {
    await damage(20, 500_000)
    await damage(60, 500_000)
    const { problems } = await verifyWithAnyJobs()
    expect(problems.map(({ path }) => path)).toEqual([`pg_wal/${names[20]}`])
  })

  test('without a segment is reported at once, and so is damage behind the gap', async () => {
    await move(pathOf(30), join(scratch.path, 'moved'))
    await damage(40, 500_000)
    const { problems } = await verifyWithAnyJobs()
    expect(problems.map(({ kind, path }) => [kind, path])).toEqual([
      ['wal-missing', `pg_wal/${names[30]}`],
      ['wal-invalid', `pg_wal/${names[40]}`],
    ])
    expect(problems[0]).toMatchObject({ timeline: 1, segment: names[30] })
  })

  test('takes a partial segment only when it is asked for', async () => {
    await move(pathOf(-1), `${pathOf(-1)}.partial`)
    const { problems } = await verify()
    const where = join(directory, 'pg_wal')
    expect(problems.map(({ detail }) => detail)).toEqual([
      `segment "${names.at(-1)}" is missing from "${where}"; ` +
        `"${names.at(-1)}.partial" is there, but such files are used only when asked for`,
    ])
    expect(await verify({ partialWal: true })).toMatchObject({ verdict: 'verified', walRecords: records })
    expect(await pbmanifest(['verify', '-q', '--partial-wal', directory])).toMatchObject({ status: 0 })
    expect(await pbmanifest(['verify', '-q', directory])).toMatchObject({ status: 1 })
  })

  test('is not read when its version is not known, and that is said', async () => {
    const newer = join(scratch.path, 'newer')
    await mkdir(join(newer, 'pg_wal'), { recursive: true })
    await writeTree(newer, { PG_VERSION: '99\n', backup_manifest: formatManifest([], range) })
    const missing = await verifyBackup(newer, { ignore: ['nothing'] })
    expect(missing.problems.map(({ kind }) => kind)).toContain('wal-missing')
    for (const name of names) await writeFile(join(newer, 'pg_wal', name), '')
    const report = await verifyBackup(newer, { walDirectory: join(directory, 'pg_wal') })
    expect(report.problems.map(({ kind }) => kind)).not.toContain('wal-invalid')
    expect(report.walRecords).toBe(0)
    expect(report.notChecked).toContainEqual({
      what: 'wal-records',
      why: 'this version does not know the WAL of PostgreSQL 99',
    })
  })

  test.each([1, 2])('is left when told to, with %i threads', async (jobs) => {
    const controller = new AbortController()
    const onProgress = ({ bytesDone, bytesTotal }: VerifyProgress): void => {
      // The files are done, the WAL comes next.
      if (bytesDone === bytesTotal) setImmediate(() => controller.abort())
    }
    const { signal } = controller
    await expect(verifyBackup(directory, { jobs, signal, onProgress })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  test('leaves no segment open', async () => {
    await damage(5, 500_000)
    await verify({ jobs: 1 })
    expect(await openFilesBelow(directory)).toEqual([])
  })
})
