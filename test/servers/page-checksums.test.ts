import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { cp, readlink, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Problem, verifyBackup, type VerifyOptions, type VerifyReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pageChecksum } from '../../src/postgres/data-page/page-checksum.js'
import { PAGE_SIZE, pageOffsets } from '../../src/postgres/data-page/page-layout.js'
import { formatLsn } from '../../src/postgres/lsn.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { takeUnpackedBackup } from '../helpers/backup-chain.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { sameForAnyJobs } from '../verify/same-for-any-jobs.js'

describeWithDebianPostgres('the pages of a cluster with checksums', (programs) => {
  let cluster: Cluster
  /** Pathnames of a table of many pages, of an unlogged one, and of one in a tablespace. */
  let files: { readonly table: string; readonly unlogged: string; readonly elsewhere: string }
  let scratch: ScratchDirectory
  let directory: string

  beforeAll(async () => {
    cluster = await createCluster(programs, { dataChecksums: true })
    await cluster.createTablespace('fast')
    await cluster.sql(`
      CREATE TABLE many AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 1500) AS n;
      CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
      CREATE TABLE elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
    `)
    await cluster.sql('VACUUM many')
    const [paths] = await cluster.sql<typeof files>(`
      SELECT pg_relation_filepath('many') AS "table", pg_relation_filepath('unlogged') AS unlogged,
        pg_relation_filepath('elsewhere') AS elsewhere
    `)
    if (paths === undefined) throw new Error('the server does not say where its tables are')
    files = paths
    await cluster.stop()
  })

  afterAll(() => cluster.remove())

  beforeEach(async () => {
    scratch = createScratchDirectory()
    directory = join(scratch.path, 'data')
    // By hard links: a file is replaced, never changed.
    await mustRun('cp', ['-al', cluster.dataDirectory, directory])
    const links = join(directory, 'pg_tblspc')
    for (const oid of readdirSync(links)) {
      const target = join(scratch.path, oid)
      await cp(await readlink(join(links, oid)), target, { recursive: true })
      await rm(join(links, oid))
      await symlink(target, join(links, oid))
    }
    await mustRun('chown', ['-R', '--reference', cluster.dataDirectory, scratch.path])
  })

  afterEach(() => scratch.remove())

  /** What pg_checksums says of the pages, without its own name and the directory. */
  async function peer(): Promise<{ readonly blocks: number; readonly said: readonly string[] }> {
    const { stdout, stderr } = await cluster.run('pg_checksums', ['--check', '-D', directory])
    const said = stderr.trim() === '' ? [] : stderr.trim().split('\n')
    return {
      blocks: Number(/Blocks scanned: +([0-9]+)/.exec(stdout)?.[1] ?? 0),
      said: said
        .map((line) => line.replace('pg_checksums: error: ', '').replace(`${directory}/`, ''))
        .toSorted(),
    }
  }

  /** Our report, with a manifest of all that is there now and no checksum of it. */
  function ours(options: VerifyOptions = {}, range = noReplay): Promise<VerifyReport> {
    writeFileSync(join(directory, 'backup_manifest'), manifestOf(directory, range))
    return verifyBackup(directory, { noParseWal: true, ...options })
  }

  function replace(pathname: string, bytes: Buffer): void {
    const path = join(directory, pathname)
    writeFileSync(`${path}.new`, bytes)
    renameSync(`${path}.new`, path)
  }

  function change(pathname: string, edit: (bytes: Buffer) => Buffer | void): void {
    const bytes = readFileSync(join(directory, pathname))
    replace(pathname, edit(bytes) ?? bytes)
  }

  function flip(pathname: string, at: number): void {
    change(pathname, (bytes) => void bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at))
  }

  /** Makes a file of one real page, with the checksum that it has as that block. */
  function plant(pathname: string, block: number): void {
    const page = readFileSync(join(directory, files.table)).subarray(0, PAGE_SIZE)
    page.writeUInt16LE(pageChecksum(page, 0, block), pageOffsets.checksum)
    replace(pathname, page)
  }

  test('are right, and all of them are looked at', async () => {
    const { blocks, said } = await peer()
    const report = await ours()
    expect(said).toEqual([])
    expect(pageProblems(report)).toEqual([])
    expect(blocks).toBeGreaterThan(1600)
    expect(report.pages).toEqual({ checked: blocks, mismatched: 0, newer: 0, replayed: 0 })
    expect(report.notChecked.map(({ what }) => what)).not.toContain('page-checksums')
  })

  test.each<{ what: string; damage: () => void; count: number }>([
    { what: 'a flipped bit in the LSN', damage: () => flip(files.table, page(3) + 1), count: 1 },
    { what: 'a flipped bit in the checksum', damage: () => flip(files.table, page(3) + 8), count: 1 },
    { what: 'a flipped bit in the flags', damage: () => flip(files.table, page(3) + 10), count: 1 },
    { what: 'a flipped bit in a row', damage: () => flip(files.table, page(4) - 1), count: 1 },
    { what: 'a flipped bit in the hole', damage: () => flip(files.elsewhere, page(5) - 5000), count: 1 },
    { what: 'a flipped bit in an unlogged table', damage: () => flip(files.unlogged, 5000), count: 1 },
    { what: 'a flipped bit in a free space map', damage: () => flip(`${files.table}_fsm`, 5000), count: 1 },
    { what: 'a flipped bit in a visibility map', damage: () => flip(`${files.table}_vm`, 5000), count: 1 },
    { what: 'a flipped bit in a shared catalog', damage: () => flip('global/1260', 5000), count: 1 },
    {
      what: 'a flipped bit in an init fork that has a page',
      damage: () => {
        plant(`${files.unlogged}_init`, 0)
        flip(`${files.unlogged}_init`, 100)
      },
      count: 1,
    },
    {
      what: 'two swapped pages',
      damage: () =>
        change(files.table, (bytes) => {
          const second = Buffer.from(bytes.subarray(page(1), page(2)))
          bytes.copy(bytes, page(1), page(2), page(3))
          second.copy(bytes, page(2))
        }),
      count: 2,
    },
    {
      what: 'a page of another block',
      damage: () => change(files.table, (bytes) => void bytes.copy(bytes, page(7), page(2), page(3))),
      count: 1,
    },
    {
      what: 'a zeroed page',
      damage: () => change(files.table, (bytes) => bytes.fill(0, page(3), page(4))),
      count: 0,
    },
    {
      what: 'a page of which the first half is an older one',
      damage: () => change(files.table, (bytes) => void bytes.copy(bytes, page(3), page(2), page(2) + 4096)),
      count: 1,
    },
    {
      what: 'a file cut between pages',
      damage: () => change(files.table, (bytes) => bytes.subarray(0, page(10))),
      count: 0,
    },
    {
      what: 'a file cut within a page',
      damage: () => change(files.table, (bytes) => bytes.subarray(0, page(10) + 100)),
      count: 1,
    },
    { what: 'a second segment', damage: () => plant('base/5/99999.1', 131_072), count: 0 },
    { what: 'a second segment of first pages', damage: () => plant('base/5/99999.1', 0), count: 1 },
    { what: 'a segment far away', damage: () => plant('base/5/99999.20', 20 * 131_072), count: 0 },
    {
      what: 'a cache file that a server has forgotten',
      damage: () => plant('base/5/pg_internal.init.123', 7),
      count: 0,
    },
  ])('with $what are judged as by pg_checksums', async ({ damage, count }) => {
    damage()
    const { said } = await peer()
    const report = await ours()
    expect(said).toHaveLength(count)
    expect(pageProblems(report).map(({ message }) => message)).toEqual(said)
  })

  // A server of 15 takes these for relations, one of 17 does not.
  test.each(['t3_5', '88888.x', '88888.0', '77777_junk', '1259.old'])(
    'are not thought to be in "%s", other than by pg_checksums 15',
    async (name) => {
      plant(`base/5/${name}`, 7)
      const { said } = await peer()
      expect(said).not.toEqual([])
      expect(pageProblems(await ours())).toEqual([])
    },
  )

  test('are named five a file, and counted, the same for every number of jobs', async () => {
    change(files.table, (bytes) => {
      for (let at = 0; at < bytes.length; at += PAGE_SIZE)
        bytes.writeUInt8(bytes.readUInt8(at + 9) ^ 1, at + 9)
    })
    flip(files.elsewhere, 5000)
    const { said } = await peer()
    const [one, two, eight] = [await ours({ jobs: 1 }), await ours({ jobs: 2 }), await ours({ jobs: 8 })].map(
      sameForAnyJobs,
    )
    expect(two).toEqual(one)
    expect(eight).toEqual(one)
    const pages = statSync(join(directory, files.table)).size / PAGE_SIZE
    expect(said).toHaveLength(pages + 1)
    expect(one?.pages).toMatchObject({ mismatched: pages + 1, newer: 0 })
    const messages = one?.problems.filter(({ path }) => path === files.table).map(({ message }) => message)
    expect(messages).toHaveLength(6)
    expect(said).toEqual(expect.arrayContaining(messages?.slice(0, 5) ?? []))
    expect(messages?.[5]).toBe(
      `checksum verification failed in file "${files.table}", ${pages - 5} further blocks`,
    )
  })

  test('that the replay of WAL writes anew are counted apart', async () => {
    const lsn = readFileSync(join(directory, files.table)).readUInt32LE(4)
    flip(files.table, 5000)
    for (const replayed of [range(lsn, lsn + 100), range(lsn - 100, lsn)]) {
      const report = await ours({}, replayed)
      expect(report.pages).toMatchObject({ mismatched: 0, newer: 1 })
      expect(pageProblems(report)).toEqual([])
    }
    for (const other of [range(lsn + 1, lsn + 100), range(lsn - 100, lsn - 1)]) {
      const report = await ours({}, other)
      expect(report.pages).toMatchObject({ mismatched: 1, newer: 0 })
      expect(pageProblems(report)).toHaveLength(1)
    }
  })

  test.each<{ what: string; options: VerifyOptions; why: string; damage?: () => void }>([
    { what: 'switched off', options: { pageChecksums: 'off' }, why: 'skipped on request' },
    { what: 'not read', options: { skipChecksums: true }, why: 'files are not read, on request' },
    {
      what: 'of a cluster whose pg_control is ignored',
      options: { ignore: ['global'] },
      why: '"global/pg_control" is ignored',
    },
    {
      what: 'of a cluster whose pg_control is damaged',
      options: {},
      damage: () => flip('global/pg_control', 100),
      why: '"global/pg_control" cannot be read: ',
    },
  ])('are not checked when they are $what', async ({ options, why, damage }) => {
    damage?.()
    flip(files.table, 5000)
    const report = await ours(options)
    expect(pageProblems(report)).toEqual([])
    expect(report.pages.checked).toBe(0)
    const found = report.notChecked.find(({ what }) => what === 'page-checksums')
    expect(found?.why.startsWith(why)).toBe(true)
  })

  test('are checked on demand also when pg_control is damaged', async () => {
    flip('global/pg_control', 100)
    flip(files.table, 5000)
    const report = await ours({ pageChecksums: 'on' })
    expect(pageProblems(report)).toHaveLength(1)
  })

  test('are checked from the command line, with the words of pg_checksums', async () => {
    flip(files.table, 5000)
    const { said } = await peer()
    await ours()
    const { stderr } = await runCommandLine(['verify', '-n', '--page-checksums', directory])
    expect(stderr).toContain(`pbmanifest: error: ${said[0]}\n`)
    expect(stderr).toMatch(/, [0-9]+ pages checked in /)
  })
})

describeWithDebianPostgres('a cluster without checksums', (programs) => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await createCluster(programs, { dataChecksums: false })
    await cluster.stop()
    const manifest = manifestOf(cluster.dataDirectory, noReplay)
    writeFileSync(join(cluster.dataDirectory, 'backup_manifest'), manifest)
  })

  afterAll(() => cluster.remove())

  test('has no pages to check', async () => {
    const report = await verifyBackup(cluster.dataDirectory, { noParseWal: true })
    expect(pageProblems(report)).toEqual([])
    expect(report.notChecked).toContainEqual({
      what: 'page-checksums',
      why: 'data checksums are not enabled in the cluster',
    })
  })

  test('cannot have them checked on demand', async () => {
    const { status, stderr } = await runCommandLine(['verify', '--page-checksums=on', cluster.dataDirectory])
    expect(status).toBe(2)
    expect(stderr).toContain(
      'pbmanifest: error: cannot check page checksums: data checksums are not enabled in the cluster\n',
    )
  })
})

test('a backup of PostgreSQL 18, which has checksums by default, has its pages checked in passing', async () => {
  const cluster = await createCluster(await embeddedPostgres())
  try {
    const backup = await takeUnpackedBackup(cluster, 'eighteen')
    const report = await verifyBackup(backup.directory)
    expect(report).toMatchObject({ verdict: 'verified', pages: { mismatched: 0, newer: 0 } })
    expect(report.pages.checked).toBeGreaterThan(1300)
    expect(report.notChecked.map(({ what }) => what)).not.toContain('page-checksums')
  } finally {
    await cluster.remove()
  }
})

/** Where a page of a file begins. */
function page(number: number): number {
  return number * PAGE_SIZE
}

function range(start: number, end: number): string {
  const [startText, endText] = [start, end].map((lsn) => formatLsn(BigInt(lsn)))
  return `"Start-LSN": "${startText}", "End-LSN": "${endText}"`
}

/** After every page. */
const noReplay = '"Start-LSN": "FFFF/0", "End-LSN": "FFFF/100"'

function pageProblems({ problems }: VerifyReport): Problem[] {
  const kinds = new Set<string>(['page-checksum', 'partial-page', 'incremental-file'])
  return problems.filter(({ kind }) => kinds.has(kind))
}

/** A manifest of all files below a directory, as they are now, without their checksums. */
function manifestOf(directory: string, range: string): string {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const linked = names.filter((name) => /^pg_tblspc\/[0-9]+$/.test(name))
  const below = linked.flatMap((link) =>
    readdirSync(join(directory, link), { recursive: true, encoding: 'utf8' }).map(
      (name) => `${link}/${name}`,
    ),
  )
  const pathnames = [...new Set([...names, ...below])].filter(
    (name) => statSync(join(directory, name)).isFile() && name !== 'backup_manifest',
  )
  const lines = pathnames.map((pathname) => {
    const { size } = statSync(join(directory, pathname))
    return `{ "Path": "${pathname}", "Size": ${size}, "Last-Modified": "2026-01-02 03:04:05 GMT" }`
  })
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
${lines.join(',\n')}
],
"WAL-Ranges": [
{ "Timeline": 1, ${range} }
],
`
  const checksum = createHash('sha256').update(body).digest('hex')
  return `${body}"Manifest-Checksum": "${checksum}"}\n`
}
