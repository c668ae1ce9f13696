import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ChainReport,
  combineBackups,
  diffManifests,
  drillBackup,
  summarizeManifest,
  verifyBackup,
  verifyChain,
} from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { pbmanifest } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { takeUnpackedBackup } from '../helpers/backup-chain.js'
import { appendSettings, type Cluster, createCluster } from '../helpers/cluster.js'
import { type BackupCopy, copyBackup } from '../helpers/copy-backup.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { poll } from '../helpers/poll.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { runProgram } from '../helpers/run-program.js'
import { exampleIn, packageDirectory } from '../library/example-in.js'
import { parseBytes } from '../manifest/parse-bytes.js'
import { listedFiles } from '../verify/damage.js'

// There is no pg_combinebackup beside the PostgreSQL 18 from npm: what it refuses is known from its source.

const timeout = 240_000

describe('chains of PostgreSQL 18', () => {
  let cluster: Cluster
  let foreign: Cluster
  let full: PlainBackup
  let monday: PlainBackup
  let tuesday: PlainBackup
  let otherFull: PlainBackup
  let foreignMonday: PlainBackup
  let newTimeline: PlainBackup

  beforeAll(async () => {
    const programs = await embeddedPostgres()
    cluster = await createCluster(programs, { settings: { summarize_wal: true } })
    await cluster.createTablespace('elsewhere')
    await cluster.sql(`
      CREATE TABLE here AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 60000) AS n;
      CREATE TABLE there TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n;
    `)
    full = await takeUnpackedBackup(cluster, 'full')
    otherFull = await takeUnpackedBackup(cluster, 'other-full')
    await cluster.sql('UPDATE here SET n = -n WHERE n % 5000 = 1; UPDATE there SET n = -n WHERE n = 1')
    monday = await takeUnpackedBackup(cluster, 'monday', full)
    await cluster.sql('UPDATE here SET n = -n WHERE n % 9000 = 2')
    tuesday = await takeUnpackedBackup(cluster, 'tuesday', monday)
    await recoverToNewTimeline(cluster)
    newTimeline = await takeUnpackedBackup(cluster, 'new-timeline', tuesday)

    foreign = await createCluster(programs, { settings: { summarize_wal: true } })
    const foreignFull = await takeUnpackedBackup(foreign, 'full')
    foreignMonday = await takeUnpackedBackup(foreign, 'monday', foreignFull)
  }, timeout)

  afterAll(async () => {
    await cluster.remove()
    await foreign.remove()
  })

  test('verify, and may be combined', async () => {
    const report = await verify(full, monday, tuesday)
    expect(report).toMatchObject({ verdict: 'verified', combine: 'safe', problems: [], notChecked: [] })
    expect(report.backups.map(({ directory, problems }) => ({ directory, problems }))).toEqual(
      [full, monday, tuesday].map(({ directory }) => ({ directory, problems: [] })),
    )
    const [first, ...others] = report.backups.map(({ pages }) => pages.checked)
    expect(first).toBeGreaterThan(1000)
    for (const pages of others) {
      expect(pages).toBeGreaterThan(10)
      expect(pages).toBeLessThan(first ?? 0)
    }
    expect(validatorOf('verify-chain-report')(report)).toBeUndefined()
  })

  test('verify as the example does', async () => {
    const application = await cluster.makeDirectory('application')
    await mkdir(join(application, 'node_modules'))
    await symlink(packageDirectory, join(application, 'node_modules/pbmanifest'))
    const script = join(application, 'example.mjs')
    const code = exampleIn('src/verify/chain/verify-chain.ts')
      .replace('/backups/sunday', full.directory)
      .replace('/backups/monday', monday.directory)
      .replace('/backups/tuesday', tuesday.directory)
    await writeFile(script, code)
    expect(await runProgram(process.execPath, [script])).toEqual({ status: 0, stdout: '', stderr: '' })
    await writeFile(script, code.replace(monday.directory, otherFull.directory))
    expect((await runProgram(process.execPath, [script])).stderr).toContain('these must not be combined')
  })

  test('are seen by show and diff', async () => {
    const overview = await summarizeManifest(monday.directory)
    const { files } = parseBytes(readFileSync(monday.manifestPath))
    const incremental = files.filter(({ pathname }) => pathname.includes('/INCREMENTAL.'))
    expect(overview).toMatchObject({
      majorVersion: 18,
      files: files.length,
      incrementalFiles: {
        files: incremental.length,
        bytes: incremental.reduce((sum, { size }) => sum + size, 0),
      },
    })
    expect((await summarizeManifest(full.directory)).incrementalFiles).toEqual({ files: 0, bytes: 0 })

    const diff = await diffManifests(full.directory, monday.directory)
    const added = [...diff.differences].filter(({ kind }) => kind === 'added')
    expect(added.map(({ pathname }) => pathname)).toEqual(
      expect.arrayContaining(incremental.map(({ pathname }) => pathname)),
    )
    expect(diff).toMatchObject({ verdict: 'different', isSameCluster: true })
    const { status, stderr } = await pbmanifest(['diff', monday.directory, foreignMonday.directory])
    expect(status).toBe(1)
    expect(stderr).toContain('pbmanifest: warning: the manifests are of two clusters: system identifier ')
  })

  test('of which a backup is looked at alone lack the others', async () => {
    const report = await verifyBackup(monday.directory)
    expect(report.verdict).toBe('verified')
    expect(report.notChecked).toContainEqual({
      what: 'earlier-backups',
      why: expect.stringMatching(
        /^it builds on the backup that starts at [0-9A-F/]+ on timeline 1: see --chain$/,
      ),
    })
    const first = await verifyBackup(full.directory)
    expect(first.notChecked.map(({ what }) => what)).not.toContain('earlier-backups')
  })

  test('of which the checksums are skipped may or may not be combined', async () => {
    const report = await verifyChain([full.directory, monday.directory], { skipChecksums: true })
    expect(report).toMatchObject({ verdict: 'verified', combine: 'unknown' })
    expect(report.backups[1]?.notChecked.map(({ what }) => what)).toContain('incremental-files')
  })

  test.each([
    {
      what: 'in the wrong order',
      pick: () => [full, tuesday, monday],
      kinds: ['predecessor', 'predecessor', 'timeline'],
      message: /^backup at ".*full\/data" starts at LSN [0-9A-F/]+, but expected [0-9A-F/]+$/,
    },
    {
      what: 'that lack a link',
      pick: () => [full, tuesday],
      kinds: ['predecessor'],
      message: /^backup at ".*full\/data" starts at LSN/,
    },
    {
      what: 'that begin with an incremental backup',
      pick: () => [monday, tuesday],
      kinds: ['order'],
      message: /monday\/data" is an incremental backup, but the first backup should be a full backup$/,
    },
    {
      what: 'with a second full backup',
      pick: () => [full, otherFull],
      kinds: ['order'],
      message: /other-full\/data" is a full backup, but only the first backup should be a full backup$/,
    },
    {
      what: 'with another full backup of the same cluster',
      pick: () => [otherFull, monday],
      kinds: ['predecessor'],
      message: /^backup at ".*other-full\/data" starts at LSN/,
    },
    {
      what: 'with the same backup twice',
      pick: () => [full, monday, monday],
      kinds: ['predecessor', 'timeline'],
      message: /^backup at ".*monday\/data" starts at LSN/,
    },
  ])('$what are refused', async ({ pick, kinds, message }) => {
    const report = await verify(...pick())
    expect(report).toMatchObject({ verdict: 'failed', combine: 'unsafe' })
    expect(report.backups.flatMap(({ problems }) => problems)).toEqual([])
    expect(report.problems.map(({ kind }) => kind)).toEqual(kinds)
    expect(report.problems[0]?.message).toMatch(message)
  })

  test('with a backup of another cluster are refused', async () => {
    const { problems } = await verify(full, foreignMonday)
    expect(problems[0]?.kind).toBe('cluster')
    expect(problems[0]?.message).toMatch(/: expected system identifier [0-9]+, but found [0-9]+$/)
  })

  test('that go over to a new timeline are combined, and a server starts on the result', async () => {
    const output = join(cluster.scratch.path, 'combined')
    const directories = [full, monday, tuesday, newTimeline].map(({ directory }) => directory)
    const [tablespace] = newTimeline.tablespaces
    const tablespaceMappings = [
      { from: tablespace?.directory ?? '', to: join(cluster.scratch.path, 'combined-tablespace') },
    ]
    const report = await combineBackups({ directories, output, tablespaceMappings, sync: false })
    expect(report).toMatchObject({ verdict: 'combined', problems: [], chainProblems: [], notChecked: [] })
    const drill = await drillBackup(output, {
      bindir: cluster.programs.bin,
      scratchParent: cluster.scratch.path,
      ...(cluster.user && { as: cluster.user.name }),
    })
    expect(drill).toMatchObject({ verdict: 'passed', failure: null })
  })

  test('with a backup of another cluster are not combined', async () => {
    const output = join(cluster.scratch.path, 'never')
    const report = await combineBackups({ directories: [full.directory, foreignMonday.directory], output })
    expect(report.verdict).toBe('failed')
    expect(report.chainProblems[0]?.message).toMatch(/: expected system identifier [0-9]+, but found [0-9]+$/)
    const copy = await copyBackup(monday)
    try {
      writeFileSync(copy.manifestPath, readFileSync(foreignMonday.manifestPath))
      const message = /manifest system identifier is [0-9]+, but control file has [0-9]+/
      const chain = [full.directory, copy.directory]
      const verified = await combineBackups({ directories: chain, output })
      expect(verified.problems.map(({ problem }) => problem.message).join('\n')).toMatch(message)
      const unverified = await combineBackups({ directories: chain, output, verify: false })
      expect(unverified.chainProblems[0]?.message).toMatch(message)
    } finally {
      copy.remove()
    }
    expect(existsSync(output)).toBe(false)
  })

  test('that go over to a new timeline verify with its history, and are doubtful without', async () => {
    expect(await verify(full, monday, tuesday, newTimeline)).toMatchObject({
      verdict: 'verified',
      combine: 'safe',
      notChecked: [],
    })

    const history = '00000002.history'
    const pgWal = join(newTimeline.directory, 'pg_wal')
    await rm(join(pgWal, history))
    const without = await verify(full, monday, tuesday, newTimeline)
    expect(without).toMatchObject({ verdict: 'verified', combine: 'unknown' })
    expect(without.notChecked.map(({ what }) => what)).toEqual(['timeline-history'])

    await writeFile(join(pgWal, history), '1\t0/100\tno recovery target specified\n')
    const { problems } = await verify(full, monday, tuesday, newTimeline)
    expect(problems.map(({ kind }) => kind)).toEqual(['timeline'])
    expect(problems[0]?.message).toMatch(/its WAL ends at [0-9A-F/]+, but timeline 1 was left at 0\/100$/)
  })

  describe('with a damaged member', () => {
    let copy: BackupCopy
    let incremental: string

    beforeEach(async () => {
      copy = await copyBackup(monday)
      const files = await listedFiles(copy)
      const found = files.filter(
        ({ pathname, size }) => pathname.includes('/INCREMENTAL.') && size >= 3 * 8192,
      )
      const [largest] = found.toSorted((left, right) => right.size - left.size)
      if (largest === undefined) throw new Error('there is no incremental file with two pages')
      incremental = largest.pathname
    })

    afterEach(() => copy.remove())

    function change(edit: (bytes: Buffer) => Buffer): void {
      const path = join(copy.directory, incremental)
      writeFileSync(path, edit(readFileSync(path)))
    }

    test('are found out by its files', async () => {
      change((bytes) => {
        bytes.writeUInt8(bytes.readUInt8(8192 + 5000) ^ 1, 8192 + 5000)
        return bytes
      })
      const block = readFileSync(join(copy.directory, incremental)).readUInt32LE(12)
      const report = await verify(full, copy, tuesday)
      expect(report).toMatchObject({ verdict: 'failed', combine: 'unsafe', problems: [] })
      const problems = report.backups.map(({ problems }) => problems.map(({ kind }) => kind))
      expect(problems).toEqual([[], ['checksum-mismatch', 'page-checksum'], []])
      expect(report.backups[1]?.problems[1]?.message).toMatch(
        new RegExp(`^checksum verification failed in file "${incremental}", block ${block}: calculated`),
      )
    })

    test.each([
      {
        what: 'another magic number',
        edit: (bytes: Buffer) => {
          bytes.writeUInt8(0, 0)
          return bytes
        },
        message: /has bad incremental magic number \(0xd3ae1f00, expected 0xd3ae1f0d\)$/,
      },
      {
        what: 'a block list out of order',
        edit: (bytes: Buffer) => {
          bytes.copy(bytes, 12, 16, 20)
          return bytes
        },
        message: /has block number ([0-9]+) after \1 in its block list \(entry 2\)$/,
      },
      {
        what: 'a block beyond the segment',
        edit: (bytes: Buffer) => {
          bytes.writeUInt32LE(131_072, 12)
          return bytes
        },
        message: /has block number 131072 in its block list, beyond segment size 131072$/,
      },
      {
        what: 'a block count that does not fit its size',
        edit: (bytes: Buffer) => {
          bytes.writeUInt32LE(bytes.readUInt32LE(4) - 1, 4)
          return bytes
        },
        message: /has [0-9]+ bytes, but should have [0-9]+ by its block count of [0-9]+$/,
      },
    ])('$what in an incremental file is a problem of its layout', async ({ edit, message }) => {
      change(edit)
      for (const pageChecksums of ['on', 'off'] as const) {
        const { problems } = await verifyBackup(copy.directory, { pageChecksums })
        const found = problems.filter(({ path }) => path === incremental)
        expect(found.map(({ kind }) => kind)).toEqual(['checksum-mismatch', 'incremental-file'])
        expect(found[1]?.message).toMatch(message)
      }
    })

    test('are left after the first problem, if that is enough', async () => {
      change((bytes) => bytes.fill(0))
      const report = await verifyChain([full.directory, copy.directory, tuesday.directory], {
        exitOnError: true,
      })
      expect(report).toMatchObject({ verdict: 'failed', combine: 'unsafe' })
      expect(report.backups).toHaveLength(2)
      expect(report.notChecked.map(({ what }) => what)).toEqual(['after-first-problem'])
    })
  })

  describe('on the command line', () => {
    test('are said to be verified', async () => {
      const { status, stdout, stderr } = await runCommandLine([
        'verify',
        '--chain',
        '-n',
        full.directory,
        monday.directory,
      ])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const lines = stdout.trimEnd().split('\n')
      expect(lines).toHaveLength(4)
      expect(lines[0]).toContain(`backup at "${full.directory}" successfully verified: `)
      expect(lines.slice(2)).toEqual([
        'backup chain successfully verified',
        'pg_combinebackup may combine these backups',
      ])
    })

    test('are refused with a reason and status 1', async () => {
      const { status, stderr } = await runCommandLine([
        'verify',
        '--chain',
        '-nq',
        monday.directory,
        full.directory,
      ])
      expect(status).toBe(1)
      expect(stderr).toContain(
        `pbmanifest: error: backup at "${monday.directory}" is an incremental backup, but the first backup should be a full backup\n`,
      )
      expect(stderr).toMatch(/chain verification failed: 3 problems \(0 in the backups, 3 between them\)\n$/)
    })

    test('are one line for Nagios', async () => {
      const args = ['verify', '--chain', '-n', '--output=nagios']
      expect(await runCommandLine([...args, full.directory, monday.directory])).toEqual({
        status: 0,
        stdout: expect.stringMatching(
          /^PBMANIFEST OK - pg_combinebackup may combine these backups; 2 backups successfully verified \| .*\n$/,
        ),
        stderr: '',
      })
      const bad = await runCommandLine([...args, monday.directory, full.directory])
      expect({ status: bad.status, stderr: bad.stderr }).toEqual({ status: 2, stderr: '' })
      expect(bad.stdout).toMatch(
        /^PBMANIFEST CRITICAL - 3 problems between the backups, first: backup at ".*" is an incremental backup, /,
      )
    })

    test('are one JSON document', async () => {
      const args = ['verify', '--chain', '--output=json', full.directory, monday.directory]
      const { status, stdout, stderr } = await runCommandLine(args)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const report: unknown = JSON.parse(stdout)
      expect(report).toMatchObject({ verdict: 'verified', combine: 'safe' })
      expect(validatorOf('verify-chain-report')(report)).toBeUndefined()
    })

    test.each([
      [['--chain', 'only-one'], 'a chain has two backups at least'],
      [['--chain', '-m', 'x', 'a', 'b'], 'cannot specify both --chain and -m/--manifest-path'],
      [['--chain', '-w', 'x', 'a', 'b'], 'cannot specify both --chain and -w/--wal-path'],
    ])('%j are bad usage', async (args, message) => {
      const { status, stderr } = await runCommandLine(['verify', ...args])
      expect(status).toBe(2)
      expect(stderr).toContain(`pbmanifest: error: ${message}\n`)
    })
  })
})

function verify(...backups: readonly PlainBackup[]): Promise<ChainReport> {
  return verifyChain(backups.map(({ directory }) => directory))
}

/** Lets the server recover from its own WAL to the end of it, which begins a new timeline. */
async function recoverToNewTimeline(cluster: Cluster): Promise<void> {
  await cluster.stop()
  await appendSettings(cluster, { restore_command: 'false' })
  await writeFile(join(cluster.dataDirectory, 'recovery.signal'), '')
  await cluster.start()
  // It lets us in before it has come to the end of recovery.
  await poll('the end of recovery', async () => {
    const rows = await cluster.sql('SELECT WHERE NOT pg_is_in_recovery()')
    return rows.length === 1
  })
}
