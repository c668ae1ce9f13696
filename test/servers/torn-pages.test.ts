import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyBackup, type VerifyOptions, type VerifyReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { mergeFragments } from '../../src/manifest/merge/merge-fragments.js'
import { PAGE_SIZE, pageOffsets } from '../../src/postgres/data-page/page-layout.js'
import { parseLsn } from '../../src/postgres/lsn.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { copyLiveTree, copyTree, mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { ServerProcess } from '../helpers/server-process.js'
import { packTarBackup } from '../helpers/tar-backups.js'
import { writeFragments } from './write-fragments.js'

/** What a base backup has as empty directories. */
const sentEmpty = ['pg_dynshmem', 'pg_notify', 'pg_replslot', 'pg_serial', 'pg_snapshots', 'pg_subtrans']

/** Changed while the backup is taken, and not. */
const changed = 5
const unchanged = 6

let cluster: Cluster
let parts: ScratchDirectory
/** What was copied, without a manifest. */
let copied: string
/** A table that was there, and one that was made while the backup was taken. */
let table: string
let fresh: string
/** The changed block of the table as it was before. */
let before: Buffer
let endLsn: bigint

beforeAll(async () => {
  cluster = await createCluster(await embeddedPostgres(), { walSegmentMegabytes: 1, dataChecksums: true })
  parts = createScratchDirectory()
  copied = join(parts.path, 'copied')
  await cluster.sql(
    `CREATE TABLE t AS SELECT n, repeat('x', 200) AS filler FROM generate_series(1, 2000) AS n`,
  )
  await cluster.sql('VACUUM FREEZE t')
  await cluster.sql('CHECKPOINT')
  const client = await cluster.client()
  const pathname = async (name: string): Promise<string> => {
    const { rows } = await client.query<{ path: string }>('SELECT pg_relation_filepath($1) AS path', [name])
    return rows[0]?.path ?? ''
  }
  await client.query(`SELECT pg_backup_start('torn', true)`)
  table = await pathname('t')
  before = pageOf(readFileSync(join(cluster.dataDirectory, table)), changed)
  await client.query(`UPDATE t SET filler = repeat('y', 200) WHERE ctid BETWEEN '(5,0)' AND '(5,99)'`)
  await client.query('CREATE TABLE fresh AS SELECT n FROM generate_series(1, 1000) AS n')
  await client.query('CHECKPOINT')
  fresh = await pathname('fresh')
  await copyLiveTree(cluster.dataDirectory, copied)
  const { rows } = await client.query<{ lsn: string; labelfile: string }>(
    'SELECT lsn::text, labelfile FROM pg_backup_stop(false)',
  )
  endLsn = parseLsn(rows[0]?.lsn ?? '') ?? 0n
  await client.query('SELECT pg_switch_wal()')
  await client.end()
  writeFileSync(join(copied, 'backup_label'), rows[0]?.labelfile ?? '')
  // Of the last ones only the beginning was there.
  rmSync(join(copied, 'pg_wal'), { recursive: true })
  await copyLiveTree(join(cluster.dataDirectory, 'pg_wal'), copied)
  for (const name of sentEmpty) {
    rmSync(join(copied, name), { recursive: true })
    mkdirSync(join(copied, name))
  }
  await mustRun('find', [
    copied,
    '(',
    '-name',
    'postmaster.*',
    '-o',
    '-name',
    'pg_internal.init',
    ')',
    '-delete',
  ])
  if (cluster.user !== undefined) {
    await mustRun('chown', ['-R', `${cluster.user.uid}:${cluster.user.gid}`, copied])
  }
})

afterAll(async () => {
  parts.remove()
  await cluster.remove()
})

let scratch: ScratchDirectory
let directory: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  directory = join(scratch.path, 'data')
  await copyTree(copied, directory)
})

afterEach(() => scratch.remove())

function pageOf(bytes: Buffer, block: number): Buffer {
  return Buffer.from(bytes.subarray(block * PAGE_SIZE, (block + 1) * PAGE_SIZE))
}

/** Puts another page into the backup, as if it had been copied so; the manifest is made afterwards. */
async function copyAs(file: string, block: number, change: (page: Buffer) => Buffer): Promise<void> {
  const path = join(directory, file)
  const bytes = readFileSync(path)
  change(pageOf(bytes, block)).copy(bytes, block * PAGE_SIZE)
  writeFileSync(path, bytes)
  await mergeFragments({
    fragments: await writeFragments(directory, scratch.path),
    output: join(directory, 'backup_manifest'),
    pgdata: directory,
    endLsn,
  })
}

const oldHalfFirst = (page: Buffer): Buffer =>
  Buffer.concat([before.subarray(0, PAGE_SIZE / 2), page.subarray(PAGE_SIZE / 2)])
const flipped = (page: Buffer): Buffer => {
  page.writeUInt8(page.readUInt8(5000) ^ 1, 5000)
  return page
}
const emptyHalfFirst = (page: Buffer): Buffer => page.fill(0, 0, PAGE_SIZE / 2)

async function pagesOf(options: VerifyOptions = {}): Promise<unknown> {
  return summarize(await verifyBackup(directory, options))
}

function summarize({ problems, pages }: VerifyReport): unknown {
  const { mismatched, newer, replayed } = pages
  return { pages: { mismatched, newer, replayed }, problems: problems.map(({ kind }) => kind) }
}

test('a page whose old half was copied first is harmless, because the WAL has an image of it', async () => {
  await copyAs(table, changed, oldHalfFirst)
  const harmless = { pages: { mismatched: 0, newer: 0, replayed: 1 }, problems: [] }
  expect(await pagesOf()).toEqual(harmless)

  const packed = join(scratch.path, 'packed')
  await packTarBackup(directory, packed)
  expect(summarize(await verifyBackup(packed))).toEqual(harmless)

  const { user, programs } = cluster
  if (user !== undefined) await mustRun('chown', ['-R', `${user.uid}:${user.gid}`, scratch.path])
  const restored = new ServerProcess({
    programs,
    dataDirectory: directory,
    logFile: join(scratch.path, 'log'),
    user,
  })
  await cluster.stop()
  try {
    await restored.start()
    const rows = await cluster.sql<{ count: string }>(`SELECT count(*) FROM t WHERE filler LIKE 'y%'`)
    expect(Number(rows[0]?.count)).toBeGreaterThan(0)
  } finally {
    await restored.end()
    await cluster.start()
  }
})

test('it is a problem where the WAL is not read, and that is said', async () => {
  await copyAs(table, changed, oldHalfFirst)
  const detail = 'the WAL, whose replay may write it anew, was not read to its end'
  const { problems, pages } = await verifyBackup(directory, { noParseWal: true })
  expect(pages).toMatchObject({ mismatched: 1, replayed: 0 })
  expect(problems).toMatchObject([{ kind: 'page-checksum', path: table, detail }])
  for (const name of readdirSync(join(directory, 'pg_wal'))) {
    if (/^[0-9A-F]{24}$/.test(name)) rmSync(join(directory, 'pg_wal', name))
  }
  expect(await pagesOf()).toEqual({
    pages: { mismatched: 1, newer: 0, replayed: 0 },
    problems: ['wal-missing', 'page-checksum'],
  })
})

test('a page that the WAL initializes is harmless, also when it looks new and is not all zeros', async () => {
  await copyAs(fresh, 1, emptyHalfFirst)
  expect(await pagesOf()).toEqual({ pages: { mismatched: 0, newer: 0, replayed: 1 }, problems: [] })
})

test.each([
  { what: 'a bit changed', change: flipped },
  { what: 'nothing in its header', change: emptyHalfFirst },
  {
    what: 'the LSN of a page that was changed in the backup',
    change: (page: Buffer): Buffer => {
      pageOf(readFileSync(join(directory, table)), changed).copy(page, 0, 0, pageOffsets.checksum)
      return page
    },
  },
])('a page that the WAL does not have, with $what, is damaged', async ({ change }) => {
  await copyAs(table, unchanged, change)
  expect(await pagesOf()).toEqual({
    pages: { mismatched: 1, newer: 0, replayed: 0 },
    problems: ['page-checksum'],
  })
})

test('a page of zeros is new', async () => {
  await copyAs(table, unchanged, (page) => page.fill(0))
  expect(await pagesOf()).toEqual({ pages: { mismatched: 0, newer: 0, replayed: 0 }, problems: [] })
})
