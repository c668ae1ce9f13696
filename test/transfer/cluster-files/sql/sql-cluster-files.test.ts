import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chownSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { comparePathnames, decodePathname } from '../../../../src/files/pathname.js'
import { ownPathname, type SafePathname } from '../../../../src/files/safe-pathname.js'
import type { ClusterFile } from '../../../../src/transfer/cluster-files/cluster-files.js'
import { LocalClusterFiles } from '../../../../src/transfer/cluster-files/local/local-cluster-files.js'
import { SqlClusterFiles } from '../../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import { SqlConnection } from '../../../../src/transfer/cluster-files/sql/sql-connection.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { oddPathnames } from '../../../helpers/odd-files.js'
import { poll } from '../../../helpers/poll.js'
import { embeddedPostgres, type PostgresPrograms } from '../../../helpers/postgres-programs.js'
import { takeBaseBackup } from '../../../helpers/replication-connection.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { connectSql } from '../../../helpers/sql-client.js'
import { parseBytes } from '../../../manifest/parse-bytes.js'
import {
  fillLiveCluster,
  listEverything,
  makeDirectory,
  makeFifo,
  makeLink,
  readAll,
  type ReadFile,
} from './live-cluster.js'
import { unsized } from '../../../helpers/unsized.js'

const timeout = 240_000

function file(pathname: string, size = 1): ClusterFile {
  return { pathname: ownPathname(pathname), kind: 'file', size, modified: 0 }
}

/** Of an idle server: what its own backup lists, but for what that backup itself made. */
async function ownManifest(cluster: Cluster): Promise<ReadFile[]> {
  const { manifest } = await takeBaseBackup(cluster, { label: randomBytes(4).toString('hex'), wal: false })
  return parseBytes(manifest)
    .files.filter(({ pathname }) => pathname !== 'backup_label' && pathname !== 'tablespace_map')
    .map(({ pathname, size, checksum }) => ({ pathname, size, checksum: checksum?.hex ?? '' }))
    .toSorted((left, right) => comparePathnames(left.pathname, right.pathname))
}

function pageOf(name: string, block: number): Buffer {
  return Buffer.alloc(8192, `${name} ${String(block)} `)
}

/** From 0 to below the end. */
function every(step: number, end: number): number[] {
  return Array.from({ length: Math.ceil(end / step) }, (_, index) => step * index)
}

function kindsOf(files: readonly ClusterFile[]): string[] {
  return files.map(({ pathname, kind }) => `${kind} ${pathname}`).toSorted()
}

function tests(programs: () => PostgresPrograms | Promise<PostgresPrograms>): void {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster(await programs(), {
      hasTemplate0: true,
      settings: { max_wal_senders: 3 },
    })
    await fillLiveCluster(cluster)
    // What is in memory only would be written between the two backups that are compared.
    await cluster.sql('CHECKPOINT')
  }, timeout)
  afterAll(() => cluster.remove())

  async function open(of = cluster): Promise<SqlClusterFiles> {
    const files = await SqlClusterFiles.open(() => connectSql(of))
    onTestFinished(() => files.close())
    return files
  }

  test('lists and reads just what the server itself backs up', { timeout }, async () => {
    const session = await cluster.client()
    await session.query('CREATE TEMPORARY TABLE passing AS SELECT generate_series(1, 1000) AS n')
    const expected = await ownManifest(cluster)
    const source = await open()
    const all = await listEverything(source)
    const listed = onlyFiles(all)
    const read = await readAll(source, listed)
    const onDisk = await listEverything(await LocalClusterFiles.open(cluster.dataDirectory))
    await session.end()
    expect(kindsOf(onDisk)).toEqual(kindsOf(all))
    expect(read.map(({ pathname }) => pathname)).toEqual(listed.map(({ pathname }) => pathname))
    expect(read.toSorted((left, right) => comparePathnames(left.pathname, right.pathname))).toEqual(expected)
    expect(read.map(({ pathname }) => Buffer.from(pathname))).toEqual(
      expect.arrayContaining([Buffer.from(`extra/it's "quoted" \\'; DROP TABLE large; --`), oddPathnames[2]]),
    )
  })

  test(
    'takes a tablespace inside the data directory as a tablespace, an in-place one too',
    { timeout },
    async () => {
      const location = join(cluster.dataDirectory, 'inner')
      makeDirectory(cluster, 'inner')
      await cluster.sql(`CREATE TABLESPACE inner_one LOCATION '${location}'`)
      const session = await cluster.client()
      await session.query('SET allow_in_place_tablespaces = on')
      await session.query(`CREATE TABLESPACE in_place LOCATION ''`)
      await session.query('CREATE TABLE inside TABLESPACE inner_one AS SELECT 1 AS n')
      await session.query('CREATE TABLE in_place TABLESPACE in_place AS SELECT 1 AS n')
      await session.query('CHECKPOINT')
      await session.end()
      onTestFinished(async () => {
        await cluster.sql('DROP TABLE inside, in_place')
        await cluster.sql('DROP TABLESPACE inner_one')
        await cluster.sql('DROP TABLESPACE in_place')
      })
      const expected = await ownManifest(cluster)
      const source = await open()
      const tablespaces = await source.listTablespaces({ withSizes: false })
      expect(tablespaces.map((tablespace) => tablespace.location)).toEqual([
        expect.stringContaining('/tablespaces/fast'),
        location,
        expect.stringMatching(/^pg_tblspc\/[0-9]+$/),
        '',
      ])
      const read = await readAll(source, onlyFiles(await listEverything(source)))
      expect(read.toSorted((left, right) => comparePathnames(left.pathname, right.pathname))).toEqual(
        expected,
      )
    },
  )

  test('lists directories before what is in them, empty ones too, and each once', async () => {
    const listed = await listEverything(await open())
    const seen = new Set<string>()
    for (const { pathname, kind } of listed) {
      expect(seen.has(pathname)).toBe(false)
      seen.add(pathname)
      const parent = pathname.slice(0, Math.max(0, pathname.lastIndexOf('/')))
      const isListed = seen.has(parent) || /^(|pg_tblspc\/[0-9]+)$/.test(parent)
      expect(isListed, `"${parent}" before the ${kind} "${pathname}"`).toBe(true)
    }
    const directories = listed.filter(({ kind }) => kind === 'directory').map(({ pathname }) => pathname)
    expect(directories).toEqual(
      expect.arrayContaining(
        ['pg_wal', 'pg_wal/archive_status', 'pg_replslot', 'pg_tblspc', 'pg_twophase'].map(ownPathname),
      ),
    )
    expect(directories.includes(ownPathname('pg_wal/summaries'))).toBe(cluster.programs.major >= 17)
  })

  test('sums up what each tablespace has, the data directory last', async () => {
    const source = await open()
    const tablespaces = await source.listTablespaces({ withSizes: true })
    for (const { oid, bytes } of tablespaces) {
      const files = await source.listFiles(oid)
      expect(bytes).toBe(files.reduce((sum, { size }) => sum + size, 0))
      expect(bytes).toBeGreaterThan(0)
    }
    expect(tablespaces.at(-1)).toMatchObject({ oid: undefined, location: '' })
    await expect(source.listFiles(4711)).rejects.toThrow('there is no tablespace with OID 4711')
  })

  test('lists the segments and history files of pg_wal', async () => {
    writeFileSync(join(cluster.dataDirectory, 'pg_wal', '00000009.history'), 'x\n')
    const listed = await (await open()).listWalFiles()
    rmSync(join(cluster.dataDirectory, 'pg_wal', '00000009.history'))
    const names = readdirSync(join(cluster.dataDirectory, 'pg_wal'), { withFileTypes: true })
      .filter((entry) => entry.isFile() && /^[0-9A-F]{24}$/.test(entry.name))
      .map(({ name }) => name)
    expect(listed.map(({ name }) => name)).toEqual([...names, '00000009.history'].toSorted())
    expect(listed.at(0)?.size).toBe(16 * 1024 * 1024)
  })

  test('never opens a FIFO, and follows links as far as they lead', { timeout }, async () => {
    makeDirectory(cluster, 'special')
    onTestFinished(() => rmSync(join(cluster.dataDirectory, 'special'), { recursive: true }))
    await makeFifo(cluster, 'special/fifo')
    makeLink(cluster, 'special/broken', 'nowhere')
    makeLink(cluster, 'special/to-fifo', 'fifo')
    makeLink(cluster, 'special/to-file', '../PG_VERSION')
    const source = await open()
    const listed = (await source.listFiles(undefined)).filter(({ pathname }) =>
      pathname.startsWith('special/'),
    )
    expect(listed.map(({ pathname, size }) => [pathname, size])).toEqual([
      ['special/fifo', 0],
      ['special/to-fifo', 0],
      ['special/to-file', 3],
    ])
    expect((await readAll(source, listed)).map(({ size }) => size)).toEqual([0, 0, 3])
    // Even when a listing says otherwise.
    expect(await readAll(source, [file('special/fifo', 10)])).toMatchObject([{ size: 0 }])
  })

  test(
    'ends with a clear error on a link to itself, and on one to a directory above',
    { timeout },
    async () => {
      makeDirectory(cluster, 'special')
      onTestFinished(() => rmSync(join(cluster.dataDirectory, 'special'), { recursive: true }))
      makeLink(cluster, 'special/itself', 'itself')
      const source = await open()
      await expect(source.listFiles(undefined)).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(
          /could not stat file ".*special\/itself": Too many levels of symbolic links/,
        ),
      })
      rmSync(join(cluster.dataDirectory, 'special', 'itself'))
      makeLink(cluster, 'special/above', '.')
      await expect(source.listFiles(undefined)).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringMatching(/^directories are nested too deep: "special\/above\/above/),
      })
      rmSync(join(cluster.dataDirectory, 'special', 'above'))
      expect(await source.listFiles(undefined)).not.toEqual([])
    },
  )

  test('gives of a file what it is at the moment of reading', async () => {
    makeDirectory(cluster, 'moving')
    onTestFinished(() => rmSync(join(cluster.dataDirectory, 'moving'), { recursive: true }))
    const path = (name: string): string => join(cluster.dataDirectory, 'moving', name)
    for (const name of ['grows', 'shrinks', 'to nothing', 'vanishes', 'a directory'])
      writeFileSync(path(name), '12345')
    const source = await open()
    const listed = (await source.listFiles(undefined)).filter(({ pathname }) =>
      pathname.startsWith('moving/'),
    )
    appendFileSync(path('grows'), '6789')
    truncateSync(path('shrinks'), 2)
    truncateSync(path('to nothing'))
    rmSync(path('vanishes'))
    rmSync(path('a directory'))
    makeDirectory(cluster, 'moving/a directory')
    const events: [string, string | number][] = []
    for await (const event of source.read(listed, undefined)) {
      if (event.type === 'file') events.push([event.pathname, event.size])
      if (event.type === 'vanished') events.push([event.pathname, 'vanished'])
    }
    expect(events).toEqual([
      ['moving/a directory', 'vanished'],
      ['moving/grows', 9],
      ['moving/shrinks', 2],
      ['moving/to nothing', 0],
      ['moving/vanishes', 'vanished'],
    ])
  })

  test('a file that is cut short while it is read keeps its size', { timeout }, async () => {
    const path = join(cluster.dataDirectory, 'large file')
    writeFileSync(path, Buffer.alloc(64 * 1024 * 1024, 1))
    onTestFinished(() => rmSync(path))
    const source = await open()
    let size = 0
    let ones = 0
    let zeros = 0
    for await (const event of source.read(unsized('large file'), undefined)) {
      if (event.type === 'file') size = event.size
      if (event.type !== 'bytes') continue
      if (ones === 0) truncateSync(path, 1)
      // A row that the server reads at this moment may be cut anywhere.
      const end = event.bytes.indexOf(0)
      ones += end === -1 ? event.bytes.length : end
      zeros += end === -1 ? 0 : event.bytes.length - end
    }
    expect(ones + zeros).toBe(size)
    expect(size).toBe(64 * 1024 * 1024)
    expect(zeros).toBeGreaterThan(0)
  })

  test(
    'gives pages of files, and zeros in place of those that are cut off meanwhile',
    { timeout },
    async () => {
      const names = ['cut', 'gone', 'intact'] as const
      for (const name of names)
        writeFileSync(
          join(cluster.dataDirectory, name),
          Buffer.concat(every(1, 200).map((block) => pageOf(name, block))),
        )
      onTestFinished(() => {
        for (const name of names) rmSync(join(cluster.dataDirectory, name), { force: true })
      })
      const wanted = {
        cut: [0, 1, 2, 9, 10, 11, 20, 21, 25, ...every(2, 200).filter((block) => block > 30)],
        gone: [3, 4, 199],
        // More than a row has, some of them next to each other.
        intact: [...every(3, 100), ...every(1, 200).filter((block) => block > 100)],
      }
      // They are chosen when the sizes are known, and read after that.
      const choose = {
        cut: () => truncateSync(join(cluster.dataDirectory, 'cut'), 10.5 * 8192),
        gone: () => rmSync(join(cluster.dataDirectory, 'gone')),
        intact: () => {},
      }
      const source = await open()
      const files = names.map((name) => ({
        pathname: ownPathname(name),
        choose: (size: number) => {
          expect(size).toBe(200 * 8192)
          choose[name]()
          return Uint32Array.from(wanted[name])
        },
      }))
      const given: Record<string, Buffer[]> = {}
      let pieces: Buffer[] = []
      for await (const event of source.readBlocks(files, undefined)) {
        if (event.type === 'file') given[event.pathname] = pieces = []
        if (event.type === 'bytes') pieces.push(Buffer.from(event.bytes))
      }
      const expected = (name: keyof typeof wanted, end: number): Buffer =>
        Buffer.concat(wanted[name].map((block) => (block < end ? pageOf(name, block) : Buffer.alloc(8192))))
      for (const [name, end] of [
        ['cut', 10],
        ['gone', 0],
        ['intact', 200],
      ] as const)
        expect(Buffer.concat(given[name] ?? []).equals(expected(name, end))).toBe(true)
    },
  )

  test('reads files of more than one query, and more files than one query takes', { timeout }, async () => {
    const sparse = join(cluster.dataDirectory, 'sparse')
    writeFileSync(sparse, '')
    truncateSync(sparse, 300 * 1024 * 1024 + 5)
    makeDirectory(cluster, 'many')
    onTestFinished(() => {
      rmSync(sparse)
      rmSync(join(cluster.dataDirectory, 'many'), { recursive: true })
    })
    const small = Array.from({ length: 2500 }, (_, index) => `many/${String(index)}`)
    for (const pathname of small) writeFileSync(join(cluster.dataDirectory, pathname), pathname)
    const wanted = [...small.map((pathname) => file(pathname, 9)), file('sparse', 300 * 1024 * 1024)]
    const read = await readAll(await open(), wanted)
    expect(read.map(({ pathname }) => pathname)).toEqual(wanted.map(({ pathname }) => pathname))
    expect(read.at(-1)?.size).toBe(300 * 1024 * 1024 + 5)
    expect(new Set(read.map(({ checksum }) => checksum)).size).toBe(2501)
  })

  test('lets the server wait when nobody takes the bytes', { timeout }, async () => {
    const sparse = join(cluster.dataDirectory, 'sparse')
    writeFileSync(sparse, '')
    truncateSync(sparse, 100 * 1024 * 1024)
    onTestFinished(() => rmSync(sparse))
    const source = await open()
    let bytes = 0
    for await (const event of source.read(unsized('sparse'), undefined)) {
      if (event.type !== 'bytes') continue
      if (bytes === 0) {
        await poll('the server to wait for us', async () => {
          const rows = await cluster.sql(
            `SELECT FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND query LIKE 'COPY%'`,
          )
          return rows.length === 1
        })
      }
      bytes += event.bytes.length
    }
    expect(bytes).toBe(100 * 1024 * 1024)
  })

  test('stops in the middle of a file when told to, and leaves nothing running', { timeout }, async () => {
    const sparse = join(cluster.dataDirectory, 'sparse')
    writeFileSync(sparse, '')
    truncateSync(sparse, 1024 * 1024 * 1024)
    onTestFinished(() => rmSync(sparse))
    const source = await open()
    const controller = new AbortController()
    const reading = (async () => {
      for await (const event of source.read(unsized('sparse'), controller.signal)) {
        if (event.type === 'bytes') controller.abort()
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
    await noCopyRuns()
    // So does a taker who goes away.
    const other = await open()
    for await (const event of other.read(unsized('sparse'), undefined)) {
      if (event.type === 'bytes') break
    }
    await noCopyRuns()
  })

  async function noCopyRuns(): Promise<void> {
    await poll('the end of the COPY', async () => {
      const rows = await cluster.sql(
        `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'`,
      )
      return rows.length === 0
    })
  }

  test('tells whether data checksums are on', async () => {
    const [row] = await cluster.sql<{ data_checksums: string }>('SHOW data_checksums')
    const source = await open()
    expect(await source.hasDataChecksums()).toBe(row?.data_checksums === 'on')
  })

  test('reads a page again while a file is being read', { timeout }, async () => {
    const [row] = await cluster.sql<{ path: string }>(`SELECT pg_relation_filepath('large') AS path`)
    const pathname = row?.path ?? ''
    const whole = readFileSync(join(cluster.dataDirectory, pathname))
    const source = await open()
    let reads = 0
    for await (const event of source.read(unsized(pathname), undefined)) {
      if (event.type !== 'bytes') continue
      reads++
      expect(await source.rereadPage(pathname, 8192)).toEqual(whole.subarray(8192, 16_384))
    }
    expect(reads).toBeGreaterThan(1)
    expect(await source.rereadPage(pathname, whole.length)).toBeUndefined()
    expect(await source.rereadPage('base/5/4711', 0)).toBeUndefined()
  })

  test.each(['../outside', '/etc/passwd', 'base/../PG_VERSION', '', 'base//5'])(
    'refuses the pathname "%s"',
    async (pathname) => {
      const source = await open()
      // As nothing of ours can make it.
      const bad = { ...file('x'), pathname: pathname as SafePathname }
      await expect(readAll(source, [bad])).rejects.toMatchObject({ code: 'USAGE' })
      await expect(source.rereadPage(pathname, 0)).rejects.toMatchObject({ code: 'USAGE' })
    },
  )

  test('names a file that the server may not read, and can go on', async () => {
    const path = join(cluster.dataDirectory, 'forbidden')
    writeFileSync(path, 'secret', { mode: 0o000 })
    if (cluster.user !== undefined) chownSync(path, cluster.user.uid, cluster.user.gid)
    onTestFinished(() => rmSync(path))
    const source = await open()
    await expect(readAll(source, [file('PG_VERSION'), file('forbidden')])).rejects.toMatchObject({
      code: 'SERVER',
      message: 'could not open file "forbidden" for reading: Permission denied',
      details: ['The server reported this.'],
      hint: undefined,
    })
    expect(await readAll(source, [file('PG_VERSION')])).toMatchObject([{ size: 3 }])
  })

  test('a torn pg_control that stays torn is an error', { timeout }, async () => {
    const path = join(cluster.dataDirectory, 'global', 'pg_control')
    const good = readFileSync(path)
    const torn = Buffer.from(good)
    torn.writeUInt8(torn.readUInt8(60) ^ 1, 40)
    const source = await open()
    // Tears it again and again, as a server that writes would, for a moment.
    const wanted = [file('PG_VERSION'), file('global/pg_control'), file('PG_VERSION')]
    writeFileSync(path, torn)
    await expect(readAll(source, wanted)).rejects.toMatchObject({ code: 'BAD_FILE' })
    const again = await open()
    const copyOut = vi.spyOn(SqlConnection.prototype, 'copyOut')
    onTestFinished(() => copyOut.mockRestore())
    const reading = readAll(again, wanted)
    // The first of the three files, pg_control, and that once more.
    await poll('a second look at it', async () => copyOut.mock.calls.length >= 3, { interval: 1 })
    writeFileSync(path, good)
    expect((await reading).map(({ size }) => size)).toEqual([3, 8192, 3])
  })

  test.each(['LATIN1', 'EUC_JP', 'SQL_ASCII'])(
    'names of any bytes survive a database in %s, whatever its settings',
    { timeout },
    async (encoding) => {
      const database = `db_${encoding.toLowerCase()}`
      await cluster.sql(
        `CREATE DATABASE ${database} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`,
      )
      onTestFinished(async () => {
        await cluster.sql(`DROP DATABASE ${database} WITH (FORCE)`)
      })
      for (const setting of [
        'standard_conforming_strings = off',
        'bytea_output = escape',
        'search_path = hostile, pg_catalog',
        "DateStyle = 'German'",
      ]) {
        await cluster.sql(`ALTER DATABASE ${database} SET ${setting}`)
      }
      await cluster.sql(
        `CREATE SCHEMA hostile;
         CREATE FUNCTION hostile.pg_read_binary_file(text, bigint, bigint, boolean) RETURNS bytea
           LANGUAGE SQL AS $$ SELECT decode('00', 'hex') $$;
         CREATE FUNCTION hostile.pg_ls_dir(text, boolean, boolean) RETURNS SETOF text
           LANGUAGE SQL AS $$ SELECT 'hostile'::text $$;
         CREATE OPERATOR hostile.|| (FUNCTION = pg_catalog.textcat, LEFTARG = text, RIGHTARG = text)`,
        database,
      )
      const expected = await readAll(await open(), await userFiles(await open()))
      const source = await SqlClusterFiles.open(() => connectSql(cluster, { database }))
      onTestFinished(() => source.close())
      const read = await readAll(source, await userFiles(source))
      expect(read).toEqual(expected)
      const pathnames = new Set(read.map(({ pathname }) => pathname))
      for (const pathname of oddPathnames) expect(pathnames).toContain(decodePathname(pathname))
    },
  )
}

/** Those that the server itself never writes to. */
async function userFiles(source: SqlClusterFiles): Promise<ClusterFile[]> {
  const listed = onlyFiles(await source.listFiles(undefined))
  return listed.filter(({ pathname }) => /^(odd |extra|PG_VERSION$)/.test(pathname))
}

function onlyFiles(listed: readonly ClusterFile[]): ClusterFile[] {
  return listed.filter(({ kind }) => kind === 'file')
}

describeWithDebianPostgres('PostgreSQL 15, files over SQL', (programs) => tests(() => programs))
describe('PostgreSQL 18, files over SQL', () => {
  tests(embeddedPostgres)
})
