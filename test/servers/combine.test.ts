import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { cp, lstat, mkdir, readdir, rename, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import {
  combineBackups,
  type CombineOptions,
  type CombineReport,
  drillBackup,
  verifyBackup,
} from 'pbmanifest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { mainFile, pbmanifest } from '../cli/pbmanifest.js'
import { takeUnpackedBackup } from '../helpers/backup-chain.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { embeddedPostgres, otherPostgres } from '../helpers/postgres-programs.js'
import { poll } from '../helpers/poll.js'
import { mustRun } from '../helpers/run-program.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { parseBytes } from '../manifest/parse-bytes.js'
import { flipBit, listedFiles, removeFile, resize } from '../verify/damage.js'
import { linkedCopy, unshare } from '../verify/linked-copy.js'
import { content, kinds, manifests, presence, type Row, walRows } from '../verify/oracle-rows.js'

// There is no pg_combinebackup in npm's PostgreSQL. What is right is known otherwise: by a full backup of the same moment.

const timeout = 180_000

let cluster: Cluster
let full: PlainBackup
let monday: PlainBackup
let tuesday: PlainBackup
/** A full backup of what tuesday's has: nothing was changed between them. */
let reference: PlainBackup
let scratch: ScratchDirectory
let results = 0

beforeAll(async () => {
  scratch = createScratchDirectory()
  cluster = await createCluster(await embeddedPostgres(), {
    settings: { summarize_wal: true },
    walSegmentMegabytes: 1,
  })
  await cluster.createTablespace('elsewhere')
  await cluster.sql(`
    CREATE TABLE will_change AS SELECT n, repeat('x', 200) AS filler FROM generate_series(1, 20000) AS n;
    CREATE TABLE will_not_change AS SELECT n FROM generate_series(1, 10000) AS n;
    CREATE TABLE will_grow AS SELECT 1 AS n;
    CREATE TABLE will_shrink AS SELECT n, repeat('y', 200) AS filler FROM generate_series(1, 20000) AS n;
    CREATE TABLE will_be_truncated AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE will_get_vacuumed AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE will_get_dropped AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE will_get_rewritten AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE will_change_elsewhere TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n;
    CREATE TABLE will_not_change_elsewhere TABLESPACE elsewhere AS SELECT 1 AS n;
  `)
  await cluster.sql('CREATE DATABASE lakh OID = 100000 STRATEGY = FILE_COPY')
  await cluster.sql('CREATE TABLE t1 (a int)', 'lakh')
  await cluster.sql('VACUUM (FREEZE) will_shrink')
  await cluster.sql('VACUUM (FREEZE) will_change')
  // A name that looks like an incremental file's, where there are none.
  await writeFile(join(cluster.dataDirectory, 'INCREMENTAL.config'), '')
  full = await takeUnpackedBackup(cluster, 'full')
  await cluster.sql(`
    UPDATE will_change SET n = -n WHERE n % 900 = 1;
    UPDATE will_change_elsewhere SET n = -n WHERE n = 1;
    INSERT INTO will_grow SELECT n FROM generate_series(2, 30000) AS n;
    DELETE FROM will_shrink WHERE n > 15000;
    TRUNCATE will_be_truncated;
    DROP TABLE will_get_dropped;
    CREATE TABLE newly_created AS SELECT n FROM generate_series(1, 3000) AS n;
    CREATE TABLE newly_created_elsewhere TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 3000) AS n;
  `)
  await cluster.sql('VACUUM will_shrink')
  await cluster.sql('VACUUM will_get_vacuumed')
  await cluster.sql('VACUUM FULL will_get_rewritten')
  await cluster.sql('DROP DATABASE lakh')
  await cluster.sql('CREATE DATABASE lakh OID = 100000 STRATEGY = FILE_COPY')
  monday = await takeUnpackedBackup(cluster, 'monday', full)
  await cluster.sql(`
    UPDATE will_change SET n = -n WHERE n % 1100 = 2;
    UPDATE newly_created SET n = -n WHERE n = 1;
    INSERT INTO will_be_truncated SELECT n FROM generate_series(1, 500) AS n;
  `)
  tuesday = await takeUnpackedBackup(cluster, 'tuesday', monday)
  reference = await takeUnpackedBackup(cluster, 'reference')
  await cluster.stop()
}, timeout)

afterAll(async () => {
  scratch.remove()
  await cluster.remove()
})

/** Results of a test, which are removed behind it. */
const made: string[] = []

afterEach(async () => {
  for (const root of made.splice(0)) await rm(root, { recursive: true, force: true })
})

interface Combined extends PlainBackup {
  readonly report: CombineReport
}

/** A place where nothing is yet, and the mappings that lead a backup's tablespaces there. */
function placeFor(
  last: PlainBackup,
): Required<Pick<CombineOptions, 'output' | 'tablespaceMappings'>> & { root: string } {
  const root = join(scratch.path, `result${results++}`)
  made.push(root)
  return {
    root,
    output: join(root, 'data'),
    tablespaceMappings: last.tablespaces.map(({ oid, directory }) => ({
      from: directory,
      to: join(root, 'tablespaces', oid),
    })),
  }
}

async function combine(
  backups: readonly PlainBackup[],
  options: Partial<CombineOptions> = {},
): Promise<Combined> {
  const last = backups.at(-1) as PlainBackup
  const { root, ...place } = placeFor(last)
  const directories = backups.map(({ directory }) => directory)
  const report = await combineBackups({ directories, ...place, sync: false, ...options })
  expect(validatorOf('combine-report')(report)).toBeUndefined()
  const tablespaces = place.tablespaceMappings.map(({ to }) => ({
    oid: to.split('/').at(-1) ?? '',
    directory: to,
  }))
  return {
    root,
    directory: place.output,
    manifestPath: join(place.output, 'backup_manifest'),
    tablespaces,
    report,
  }
}

/** All files below the data directory, over the links of tablespaces. */
async function filesOf({ directory }: PlainBackup, below = ''): Promise<string[]> {
  const names = await readdir(join(directory, below))
  const lists = await Promise.all(
    names.map(async (name) => {
      const path = join(below, name)
      return (await stat(join(directory, path))).isDirectory()
        ? await filesOf({ directory } as PlainBackup, path)
        : [path]
    }),
  )
  return lists.flat().toSorted()
}

function manifestOf({ manifestPath }: PlainBackup): ReturnType<typeof parseBytes> {
  return parseBytes(readFileSync(manifestPath))
}

function manifestWithoutTimes({ manifestPath }: PlainBackup): string {
  return readFileSync(manifestPath, 'utf8')
    .replaceAll(/"Last-Modified": "[^"]*"/g, '')
    .replace(/"Manifest-Checksum".*/, '')
}

/** Nothing is left where a result was to be. */
async function expectNothing({ root }: PlainBackup): Promise<void> {
  const left = await readdir(root).catch(() => [])
  expect(left).toEqual([])
}

/** Of two backups of one moment, taken one after the other. */
const differs = /^(?:backup_label|backup_manifest|global\/pg_control|pg_wal\/.*)$/

/**
 * Servers before 18.6 do not tell the summarizer of every bit that they clear in a visibility map, so that an incremental backup
 * lacks these blocks, whoever combines it.
 */
const visibilityMap = /_vm$/

describe('a chain of PostgreSQL 18, combined,', () => {
  let result: Combined

  beforeAll(async () => {
    result = await combine([full, monday, tuesday])
    // It serves all tests here.
    made.length = 0
  }, timeout)

  test('is the full backup of the same moment, file for file', async () => {
    const files = (await filesOf(result)).filter((path) => !differs.test(path))
    expect(files).toEqual((await filesOf(reference)).filter((path) => !differs.test(path)))
    expect(files).toContain('INCREMENTAL.config')
    const others = files.filter(
      (path) =>
        !visibilityMap.test(path) &&
        !readFileSync(join(result.directory, path)).equals(readFileSync(join(reference.directory, path))),
    )
    expect(others).toEqual([])
  })

  test('is byte for byte what pg_combinebackup makes', async (context) => {
    const program = otherPostgres()
      .filter(({ major }) => major === 18)
      .map((programs) => programs.path('pg_combinebackup'))
      .find((path) => path !== undefined)
    if (program === undefined) return context.skip('PBMANIFEST_TEST_POSTGRES names no pg_combinebackup 18')
    const { root, output, tablespaceMappings } = placeFor(tuesday)
    await mkdir(root)
    const directories = [full, monday, tuesday].map(({ directory }) => directory)
    const mappings = tablespaceMappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`)
    await mustRun(program, [...directories, '-N', `--output=${output}`, ...mappings])
    const theirs = { directory: output, manifestPath: join(output, 'backup_manifest') } as PlainBackup
    const files = await filesOf(result)
    expect(files).toEqual(await filesOf(theirs))
    for (const path of files) {
      if (path === 'backup_manifest') continue
      expect(readFileSync(join(output, path)).equals(readFileSync(join(result.directory, path)))).toBe(true)
    }
    expect(manifestWithoutTimes(result)).toBe(manifestWithoutTimes(theirs))
    return undefined
  })

  test('has the label of the last backup without what it builds on', () => {
    const label = readFileSync(join(result.directory, 'backup_label'), 'utf8')
    const last = readFileSync(join(tuesday.directory, 'backup_label'), 'utf8')
    expect(last).toContain('INCREMENTAL FROM LSN: ')
    expect(label).toBe(last.replaceAll(/^INCREMENTAL FROM .*\n/gm, ''))
  })

  test('has a manifest of its own that it verifies by', async () => {
    const report = await verifyBackup(result.directory)
    expect(report).toMatchObject({ verdict: 'verified', problems: [], warnings: [] })
    expect(report.backup.label).toBe('tuesday')
    const manifest = manifestOf(result)
    expect(manifest.files[0]?.pathname).toBe('backup_label')
    expect(manifest.walRanges).toEqual(manifestOf(tuesday).walRanges)
    expect(result.report).toMatchObject({
      verdict: 'combined',
      manifest: { checksum: manifest.checksum },
      problems: [],
      chainProblems: [],
      notChecked: [],
    })
  })

  test('is told of in the report', async () => {
    const { report } = result
    expect(report.wholeFiles + report.reconstructedFiles).toBe((await filesOf(result)).length - 2)
    expect(report.reconstructedFiles).toBeGreaterThan(5)
    for (const { blocks } of report.blocks) expect(blocks).toBeGreaterThan(10)
    expect(report.pages.checked).toBeGreaterThan(1000)
    expect(report.pages.mismatched).toBe(0)
    expect(report.filesChecked).toBeGreaterThan(report.wholeFiles)
  })

  test('has modes as pg_combinebackup gives them', async () => {
    for (const path of ['PG_VERSION', 'backup_label', 'backup_manifest', 'base/1/1259']) {
      expect((await stat(join(result.directory, path))).mode & 0o777).toBe(0o600)
    }
    for (const path of ['', 'base', 'pg_tblspc', 'pg_wal/summaries']) {
      expect((await stat(join(result.directory, path))).mode & 0o777).toBe(0o700)
    }
  })

  test('is the same for any number of threads', async () => {
    const other = await combine([full, monday, tuesday], { jobs: 1 })
    const files = (await filesOf(result)).filter((path) => path !== 'backup_manifest')
    for (const path of files) {
      expect(
        readFileSync(join(other.directory, path)).equals(readFileSync(join(result.directory, path))),
      ).toBe(true)
    }
    expect(manifestWithoutTimes(other)).toBe(manifestWithoutTimes(result))
  })

  test(
    'is what a server starts on, with what the last backup has',
    async () => {
      const sql = join(scratch.path, 'sums.sql')
      await writeFile(
        sql,
        `SELECT 1 / (CASE WHEN sum(n) = ${sumOfChanged()} AND count(*) = 20000 THEN 1 ELSE 0 END) FROM will_change;
       SELECT 1 / (CASE WHEN count(*) = 15000 THEN 1 ELSE 0 END) FROM will_shrink;
       SELECT 1 / (CASE WHEN count(*) = 500 THEN 1 ELSE 0 END) FROM will_be_truncated;
       SELECT 1 / (CASE WHEN count(*) = 30000 THEN 1 ELSE 0 END) FROM will_grow;
       SELECT 1 / (CASE WHEN count(*) = 3000 THEN 1 ELSE 0 END) FROM newly_created_elsewhere;
       SELECT 1 / (CASE WHEN count(*) = 0 THEN 1 ELSE 0 END) FROM pg_class WHERE relname = 'will_get_dropped';\n`,
      )
      const drill = await drillBackup(result.directory, {
        bindir: cluster.programs.bin,
        sqlFile: sql,
        scratchParent: scratch.path,
        ...(cluster.user && { as: cluster.user.name }),
      })
      expect(drill).toMatchObject({ verdict: 'passed', failure: null })
    },
    timeout,
  )
})

function sumOfChanged(): number {
  let sum = 0
  for (let n = 1; n <= 20_000; n++) {
    const now = n % 900 === 1 ? -n : n
    sum += now % 1100 === 2 ? -now : now
  }
  return sum
}

describe('the manifest of a result', () => {
  test('is left out on request', async () => {
    const result = await combine([full], { manifest: false })
    expect(result.report).toMatchObject({ verdict: 'combined', manifest: null })
    await expect(lstat(result.manifestPath)).rejects.toThrow('ENOENT')
  })

  test.each([
    { what: 'no checksums', checksumAlgorithm: 'NONE', algorithms: [undefined] },
    { what: 'those of another algorithm', checksumAlgorithm: 'SHA224', algorithms: ['SHA224'] },
  ] as const)('has $what on request', async ({ checksumAlgorithm, algorithms }) => {
    const result = await combine([full], { checksumAlgorithm })
    const { files } = manifestOf(result)
    const algorithmsOf = (isWal: boolean): Set<string | undefined> =>
      new Set(
        files
          .filter(({ pathname }) => pathname.startsWith('pg_wal/') === isWal)
          .map(({ checksum }) => checksum?.algorithm),
      )
    expect(algorithmsOf(false)).toEqual(new Set(algorithms))
    // WAL has none, as pg_combinebackup has it.
    expect(algorithmsOf(true)).toEqual(new Set([undefined]))
    expect((await verifyBackup(result.directory)).verdict).toBe('verified')
  })
})

describe('files that need no reconstruction', () => {
  test.each(['copy-file-range', 'link'] as const)('are put into the result by %s', async (copyMethod) => {
    const result = await combine([full, monday, tuesday], { copyMethod })
    expect(result.report).toMatchObject({ verdict: 'combined', copyMethod, problems: [] })
    expect((await verifyBackup(result.directory)).verdict).toBe('verified')
    const links = async (path: string): Promise<number> => (await stat(join(result.directory, path))).nlink
    expect(await links('PG_VERSION')).toBe(copyMethod === 'link' ? 2 : 1)
    expect(await links('backup_label')).toBe(1)
    const incremental = (await listedFiles(tuesday)).find(
      ({ pathname, size }) => pathname.includes('base/5/INCREMENTAL.') && size > 8192,
    )
    expect(await links(incremental?.pathname.replace('INCREMENTAL.', '') ?? '')).toBe(1)
  })

  test('are cloned, or that is an error', async () => {
    const { root, ...place } = placeFor(full)
    const run = combineBackups({ directories: [full.directory], ...place, copyMethod: 'clone' })
    const verdict = await run.then(
      (report) => report.verdict,
      (error: Error) => error.message,
    )
    if (verdict === 'combined') return
    expect(verdict).toMatch(/^error while cloning file "[^"]*" to "[^"]*": /)
    expect(await readdir(root).catch(() => [])).toEqual([])
  })
})

describe('a chain', () => {
  test('may be combined step by step, but what is in it already may not be added', async () => {
    const first = await combine([full, monday])
    const second = await combine([first, tuesday])
    expect(second.report).toMatchObject({ verdict: 'combined', problems: [] })
    expect((await verifyBackup(second.directory)).verdict).toBe('verified')
    const again = await combine([first, monday])
    expect(again.report.verdict).toBe('failed')
    expect(again.report.chainProblems[0]?.message).toMatch(/starts at LSN .*, but expected/)
    await expectNothing(again)
  })

  test.each([
    {
      what: 'with two full backups',
      pick: () => [full, reference],
      message: /is a full backup, but only the first/,
    },
    {
      what: 'without its full backup',
      pick: () => [monday, tuesday],
      message: /is an incremental backup, but the first/,
    },
    { what: 'that lacks a link', pick: () => [full, tuesday], message: /starts at LSN .*, but expected/ },
    {
      what: 'in the wrong order',
      pick: () => [full, tuesday, monday],
      message: /starts at LSN .*, but expected/,
    },
    {
      what: 'with a backup twice',
      pick: () => [full, monday, monday],
      message: /starts at LSN .*, but expected/,
    },
  ])('$what is refused, verified or not', async ({ pick, message }) => {
    for (const verify of [true, false]) {
      const result = await combine(pick(), { verify })
      expect(result.report.verdict).toBe('failed')
      expect(result.report.chainProblems.map((problem) => problem.message).join('\n')).toMatch(message)
      await expectNothing(result)
    }
  })

  test('of which the full backup has an incremental file is refused', async () => {
    const copy = await linkedCopy(full)
    try {
      const files = await listedFiles(monday)
      const incremental =
        files.find(({ pathname }) => pathname.startsWith('base/1/INCREMENTAL.'))?.pathname ?? ''
      await rename(
        join(copy.directory, incremental.replace('INCREMENTAL.', '')),
        join(copy.directory, 'global/aside'),
      )
      await cp(join(monday.directory, incremental), join(copy.directory, incremental))
      const unverified = await combine([copy, monday], { verify: false })
      expect(unverified.report.problems[0]).toMatchObject({
        directory: copy.directory,
        problem: { message: `full backup contains unexpected incremental file "${incremental}"` },
      })
      await expectNothing(unverified)
      expect((await combine([copy, monday])).report.verdict).toBe('failed')
    } finally {
      copy.remove()
    }
  })

  test('without a manifest is combined only where none is needed', async () => {
    const copy = await linkedCopy(full)
    try {
      await unlink(copy.manifestPath)
      await expect(combine([copy, monday])).rejects.toThrow('backup_manifest": No such file or directory')
      const result = await combine([copy, monday], { verify: false })
      expect(result.report).toMatchObject({ verdict: 'combined', notChecked: [{ what: 'file-checksums' }] })
      expect(result.report.warnings.map(({ message }) => message)).toEqual([
        `file "${copy.manifestPath}" does not exist`,
      ])
      await expect(combine([monday, copy], { verify: false })).rejects.toThrow(
        'cannot generate a manifest because no manifest is available for the final input backup',
      )
    } finally {
      copy.remove()
    }
  })
})

/** An incremental file of monday's with pages, whose whole file is in the full backup and that tuesday's has pages of, too. */
async function changedFile(): Promise<string> {
  const ofTuesday = new Set((await listedFiles(tuesday)).map(({ pathname }) => pathname))
  const files = (await listedFiles(monday)).filter(
    ({ pathname, size }) =>
      pathname.startsWith('base/5/INCREMENTAL.') && ofTuesday.has(pathname) && size > 3 * 8192,
  )
  const [largest] = files.toSorted((one, other) => other.size - one.size)
  if (largest === undefined) throw new Error('there is no such file')
  return largest.pathname
}

async function judgeDamaged(
  which: 0 | 1 | 2,
  damage: (backup: PlainBackup) => Promise<unknown>,
  options: Partial<CombineOptions> = {},
): Promise<{ result: Combined; directory: string }> {
  const chain = [full, monday, tuesday]
  const copy = await linkedCopy(chain[which] as PlainBackup)
  try {
    await damage(copy)
    chain[which] = copy
    return { result: await combine(chain, options), directory: copy.directory }
  } finally {
    copy.remove()
  }
}

/** Presence, kinds, manifests and WAL are looked at by verifyBackup, whose own tests show what it finds; here are some of each. */
const someRows = [presence, kinds, manifests, walRows].flatMap((rows) =>
  rows.filter(({ name, status, arguments: args }, index) => {
    // Of what root can read all the same, and of what is no manifest, it is not to be seen here.
    return index % 5 === 1 && args === undefined && status === undefined && !name.includes('unreadable')
  }),
)

describe('damage to an input', () => {
  test.each([0, 1, 2] as const)(
    'of backup %d, in a file that others change, names file and backup',
    async (which) => {
      const incremental = await changedFile()
      const pathname = which === 0 ? incremental.replace('INCREMENTAL.', '') : incremental
      // Also where the byte itself is in no block that is needed.
      const { result, directory } = await judgeDamaged(which, (backup) => flipBit(backup, pathname))
      expect(result.report.verdict).toBe('failed')
      expect(result.report.problems).toEqual([
        {
          directory,
          problem: expect.objectContaining({
            kind: 'checksum-mismatch',
            path: pathname,
            message: `checksum mismatch for file "${pathname}"`,
          }),
        },
      ])
      await expectNothing(result)
    },
  )

  test('of several files names all of them, in one order', async () => {
    const names = new Set(['base/1/1255', 'base/5/1249', 'global/pg_filenode.map'])
    const damage = async (backup: PlainBackup): Promise<void> => {
      for (const { pathname } of await listedFiles(backup)) {
        if (names.has(pathname)) await flipBit(backup, pathname)
      }
    }
    const found = []
    for (const jobs of [1, 3]) {
      const { result } = await judgeDamaged(0, damage, { jobs })
      found.push(result.report.problems.map(({ problem }) => problem.path))
    }
    expect(found[0]?.length).toBeGreaterThan(1)
    expect(found[1]).toEqual(found[0])
  })

  test('is found by page checksums where nothing is compared', async () => {
    const pathname = (await changedFile()).replace('INCREMENTAL.', '')
    // All of it, so that a page that is needed is hit.
    const damage = async (backup: PlainBackup): Promise<void> => {
      const path = join(backup.directory, pathname)
      const bytes = readFileSync(path)
      for (let at = 4000; at < bytes.length; at += 8192) bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      await unshare(path)
      await writeFile(path, bytes)
    }
    const { result } = await judgeDamaged(0, damage, { verify: false })
    expect(result.report.verdict).toBe('failed')
    expect(result.report.problems[0]?.problem).toMatchObject({ kind: 'page-checksum', path: pathname })
    expect(result.report.pages.mismatched).toBeGreaterThan(10)
    await expectNothing(result)
    const unchecked = await judgeDamaged(0, damage, { verify: false, pageChecksums: 'off' })
    expect(unchecked.result.report.verdict).toBe('combined')
    expect(unchecked.result.report.notChecked.map(({ what }) => what)).toEqual([
      'page-checksums',
      'file-checksums',
    ])
  })

  test.each([
    {
      what: 'another magic number',
      edit: (bytes: Buffer) => bytes.fill(0, 0, 1),
      message: /bad incremental magic number/,
    },
    {
      what: 'a block count that does not fit',
      edit: (bytes: Buffer) => bytes.fill(bytes.readUInt8(4) + 1, 4, 5),
      message: /bytes, but should have/,
    },
  ])('$what is told, verified or not', async ({ edit, message }) => {
    const pathname = await changedFile()
    for (const verify of [true, false]) {
      const damage = async (backup: PlainBackup): Promise<void> => {
        const path = join(backup.directory, pathname)
        const bytes = edit(readFileSync(path))
        await unshare(path)
        await writeFile(path, bytes)
      }
      const { result, directory } = await judgeDamaged(1, damage, { verify })
      expect(result.report.problems).toMatchObject([
        { directory, problem: { kind: 'incremental-file', path: pathname } },
      ])
      expect(result.report.problems[0]?.problem.message).toMatch(message)
      await expectNothing(result)
    }
  })

  test('that cuts an incremental file anywhere is told, verified or not', async () => {
    const pathname = await changedFile()
    for (const size of [3, 8192]) {
      const { result } = await judgeDamaged(2, (backup) => resize(backup, pathname, () => size), {
        verify: size % 2 === 0,
      })
      expect(result.report.verdict).toBe('failed')
      expect(result.report.problems[0]?.problem.path).toBe(pathname)
      await expectNothing(result)
    }
  })

  test('a file that is missing where its blocks are needed is told, verified or not', async () => {
    const pathname = await changedFile()
    const { result } = await judgeDamaged(1, (backup) => removeFile(backup, pathname))
    expect(result.report.problems[0]?.problem).toMatchObject({ kind: 'missing', path: pathname })
    await expect(
      judgeDamaged(1, (backup) => removeFile(backup, pathname), { verify: false }),
    ).rejects.toThrow(/could not open file ".*": No such file or directory/)
  })

  test.each<Row>([...content, ...someRows])(
    'of a kind that verify knows gives no result that is called good: $name',
    async (row) => {
      const copy = await linkedCopy(full)
      const { root, ...place } = placeFor(copy)
      try {
        const words = await row.damage(copy)
        const report = await combineBackups({ directories: [copy.directory], ...place, sync: false }).catch(
          () => undefined,
        )
        const isUncheckedWal = report?.notChecked.some(({ what }) => what === 'wal') === true
        const isCombined = report?.verdict === 'combined'
        expect(isCombined && words !== undefined && !isUncheckedWal).toBe(false)
        expect(isCombined || (await readdir(root).catch(() => [])).length === 0).toBe(true)
      } finally {
        copy.remove()
      }
    },
  )
})

describe('where the result goes', () => {
  test.each([
    {
      what: 'a directory with something in it',
      prepare: async (output: string) => {
        await mkdir(output, { recursive: true })
        await writeFile(join(output, 'mine'), '')
      },
      message: 'exists but is not empty',
    },
    {
      what: 'a file',
      prepare: async (output: string) => {
        await mkdir(join(output, '..'), { recursive: true })
        await writeFile(output, '')
      },
      message: 'could not access directory',
    },
    {
      what: 'a link to nowhere',
      prepare: async (output: string) => {
        await mkdir(join(output, '..'), { recursive: true })
        await symlink('nowhere', output)
      },
      message: 'is a broken link',
    },
  ])('is not $what', async ({ prepare, message }) => {
    const { root: _, ...place } = placeFor(tuesday)
    await prepare(place.output)
    const before = await readdir(join(place.output, '..'))
    await expect(
      combineBackups({ directories: [full.directory, monday.directory, tuesday.directory], ...place }),
    ).rejects.toThrow(message)
    expect(await readdir(join(place.output, '..'))).toEqual(before)
  })

  test('is not an input, and no tablespace is written where the input has it', async () => {
    const directories = [full.directory, monday.directory]
    const { tablespaceMappings } = placeFor(monday)
    const inside = join(full.directory, 'base/result')
    await expect(combineBackups({ directories, output: inside, tablespaceMappings })).rejects.toThrow(
      'which is part of a backup',
    )
    const { output } = placeFor(monday)
    await expect(combineBackups({ directories, output })).rejects.toThrow(
      /^tablespace at ".*" has no tablespace mapping$/,
    )
    const [tablespace] = monday.tablespaces
    const mapped = [{ from: tablespace?.directory ?? '', to: join(monday.directory, 'base/ts') }]
    await expect(combineBackups({ directories, output, tablespaceMappings: mapped })).rejects.toThrow(
      'which is part of a backup',
    )
    await expect(lstat(output)).rejects.toThrow('ENOENT')
  })

  test('is an empty directory, which stays when there is a problem', async () => {
    const { root: _, ...place } = placeFor(tuesday)
    await mkdir(place.output, { recursive: true })
    const failed = await combineBackups({ directories: [full.directory, tuesday.directory], ...place })
    expect(failed.verdict).toBe('failed')
    expect(await readdir(place.output)).toEqual([])
    const done = await combineBackups({
      directories: [full.directory, monday.directory, tuesday.directory],
      ...place,
    })
    expect(done.verdict).toBe('combined')
  })
})

describe('a combination that does not come to its end leaves nothing', () => {
  test('when it is stopped, and marks what it writes until then', async () => {
    const { root, ...place } = placeFor(tuesday)
    const stop = new AbortController()
    let mark: string | undefined
    const run = combineBackups({
      directories: [full.directory, monday.directory, tuesday.directory],
      ...place,
      signal: stop.signal,
      onFile: () => {
        mark ??= readFileSync(join(place.output, 'pbmanifest.unfinished'), 'utf8')
        stop.abort()
      },
    })
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' })
    expect(mark).toContain('"Unfinished-Backup"')
    expect(await readdir(root).catch(() => [])).toEqual([])
  })

  test('when the disk is full', async (context) => {
    const { root, ...place } = placeFor(tuesday)
    const unmount = mountSmallDisk(root, 'size=8m')
    if (unmount === undefined) return context.skip('may not mount a small disk')
    try {
      const run = combineBackups({
        directories: [full.directory, monday.directory, tuesday.directory],
        ...place,
      })
      await expect(run).rejects.toThrow(/^could not write file "[^"]*": No space left on device$/)
      expect(await readdir(root)).toEqual([])
    } finally {
      unmount()
    }
    return undefined
  })

  test('and what a killed one left is refused, with its writer, until it is removed', async () => {
    const { root, ...place } = placeFor(tuesday)
    await mkdir(root)
    const directories = [full.directory, monday.directory, tuesday.directory]
    // Nobody reads what it says of each file, which is more than a pipe takes: so it cannot come to its end.
    const pipe = join(root, 'pipe')
    await mustRun('mkfifo', [pipe])
    const unread = openSync(pipe, 'r+')
    const args = [
      'combine',
      '-Nd',
      '-j2',
      ...directories,
      `-o${place.output}`,
      ...mappings({ root, ...place }),
    ]
    const killed = spawn(process.execPath, [mainFile, ...args], { stdio: ['ignore', 'ignore', unread] })
    const ended = once(killed, 'exit')
    try {
      await poll('files of the result', async () =>
        readdir(join(place.output, 'base/1')).then(
          ({ length }) => length > 0,
          () => false,
        ),
      )
    } finally {
      killed.kill('SIGKILL')
      expect(await ended).toEqual([null, 'SIGKILL'])
      closeSync(unread)
    }
    const left = await readdir(place.output)
    expect(left).toContain('pbmanifest.unfinished')
    expect(left).not.toContain('backup_manifest')

    await expect(combineBackups({ directories, ...place })).rejects.toMatchObject({
      message: expect.stringMatching(
        /^directory "[^"]*" holds an unfinished backup of pbmanifest \(id [0-9a-f]{32}\)$/,
      ),
      details: expect.arrayContaining([expect.stringContaining(`process ${killed.pid} on `)]),
    })
    expect(await readdir(place.output)).toEqual(left)

    await rm(root, { recursive: true })
    const { verdict } = await combineBackups({ directories, ...place, sync: false })
    expect(verdict).toBe('combined')
  })
})

function mappings(place: ReturnType<typeof placeFor>): string[] {
  return place.tablespaceMappings.map(({ from, to }) => `-T${from}=${to}`)
}

describe('on the command line', () => {
  test('it says what it has done, and with -d of each file from where it comes', async () => {
    const place = placeFor(monday)
    const args = ['combine', '-Nd', full.directory, monday.directory, `-o${place.output}`, ...mappings(place)]
    const { status, stdout, stderr } = await pbmanifest(args)
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /^combined 2 backups into ".*": [0-9]+ files \([0-9]+ reconstructed\), .* in .* s\n$/,
    )
    expect(stderr).toContain(`"PG_VERSION": copied from backup at "${monday.directory}"\n`)
    expect(stderr).toMatch(
      /"base\/5\/[0-9]+": reconstructed, [0-9]+ blocks from backup at "[^"]*full\/data", [0-9]+ blocks? from/,
    )
  })

  test('a dry run says whether it could be done, and writes nothing', async () => {
    const place = placeFor(monday)
    const args = [
      full.directory,
      monday.directory,
      '--output',
      place.output,
      '--output=json',
      ...mappings(place),
    ]
    const { status, stdout, stderr } = await pbmanifest(['combine', '-n', ...args])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const report: unknown = JSON.parse(stdout)
    expect(validatorOf('combine-report')(report)).toBeUndefined()
    expect(report).toMatchObject({ verdict: 'combinable', isDryRun: true, bytes: 0, manifest: null })
    await expect(lstat(place.root)).rejects.toThrow('ENOENT')
  })

  test('progress ends with all that was to be read', async () => {
    const place = placeFor(full)
    const { stderr } = await pbmanifest([
      'combine',
      '-NP',
      full.directory,
      '-o',
      place.output,
      ...mappings(place),
    ])
    expect(stderr).toMatch(/ *([0-9]+)\/\1 kB \(100%\) combined\n$/)
  })

  test('a problem has status 1, and names file and backup', async () => {
    const copy = await linkedCopy(full)
    try {
      await flipBit(copy, 'global/pg_filenode.map')
      const place = placeFor(copy)
      const { status, stdout, stderr } = await pbmanifest([
        'combine',
        copy.directory,
        '-o',
        place.output,
        ...mappings(place),
      ])
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
      expect(stderr).toBe(
        `pbmanifest: error: backup at "${copy.directory}": checksum mismatch for file "global/pg_filenode.map"\n` +
          'pbmanifest: backups were not combined: 1 problem\n',
      )
      expect(await readdir(place.root).catch(() => [])).toEqual([])
    } finally {
      copy.remove()
    }
  })

  test.each([
    { args: [], words: 'no input directories specified' },
    { args: ['/nowhere'], words: 'no output directory specified' },
    { args: ['/nowhere', '-o', '/a', '--output=/b'], words: 'more than one output directory specified' },
    { args: ['/nowhere', '-o', '/a', '--clone', '-k'], words: 'cannot specify both --clone and --link' },
    { args: ['/nowhere', '-o', '/a', '--sync-method=never'], words: 'unrecognized sync method: never' },
    { args: ['/nowhere', '-o', '/a', '-T', 'x'], words: 'invalid tablespace mapping format "x"' },
    {
      args: ['/nowhere', '-o', '/a', '--manifest-checksums=MD5'],
      words: 'unrecognized checksum algorithm: "MD5"',
    },
  ])('$args: $words', async ({ args, words }) => {
    const { status, stderr } = await pbmanifest(['combine', ...args])
    expect(status).toBe(2)
    expect(stderr).toContain(`pbmanifest: error: ${words}`)
  })

  test('an archive has to be unpacked first', async () => {
    const directory = join(scratch.path, 'tar')
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'base.tar'), '')
    const { status, stderr } = await pbmanifest(['combine', directory, '-o', join(scratch.path, 'never')])
    expect(status).toBe(2)
    expect(stderr).toContain('is in tar format, which cannot be combined')
    await rm(directory, { recursive: true })
  })
})

test('the inputs are as they were', async () => {
  for (const backup of [full, monday, tuesday, reference]) {
    expect(await verifyBackup(backup.directory)).toMatchObject({ verdict: 'verified', warnings: [] })
    expect(relative(backup.root, backup.directory)).toBe('data')
  }
})
