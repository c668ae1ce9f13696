import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { fillCluster } from '../../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { mountSmallDisk } from '../../helpers/small-disk.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import {
  expectNothingLeft,
  type RunningBackup,
  runBackupProgram,
  startBackupProgram,
} from './backup-program.js'
import { createRestoreSite, type RestoreSite, startRestored } from './restored-cluster.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { readMembers, type StoredMember } from './tar-members.js'

const ends: (() => Promise<unknown> | void)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

function scratchDirectory(): string {
  const scratch = createScratchDirectory()
  ends.push(() => scratch.remove())
  return scratch.path
}

describeWithDebianPostgres('a backup in tar format', (programs) => {
  let cluster: Cluster
  let kept: ScratchDirectory
  let theirs = 0

  beforeAll(async () => {
    kept = createScratchDirectory()
    const settings = { autovacuum: false, wal_keep_size: '1GB' }
    cluster = await createCluster(programs, { dataChecksums: true, walSegmentMegabytes: 1, settings })
    await fillCluster(cluster)
    // A link to it would not fit a header.
    await cluster.sql(`CREATE TABLESPACE distant LOCATION '${await cluster.makeDirectory('x'.repeat(100))}'`)
    await cluster.sql(`
      DO $$ BEGIN FOR n IN 1..30 LOOP
        EXECUTE format('CREATE TABLE passing%s AS SELECT n FROM generate_series(1, 20000) AS n', n);
      END LOOP; END $$`)
    await cluster.sql('CREATE TABLE growing AS SELECT n FROM generate_series(1, 50000) AS n')
    await cluster.sql('CREATE TABLE shrinking AS SELECT n FROM generate_series(1, 200000) AS n')
    // Else reading would go on to change pages, by hints.
    await cluster.run('vacuumdb', ['--all', '--freeze', '--quiet'])
    await cluster.sql('CHECKPOINT')
  })

  afterAll(async () => {
    kept.remove()
    await cluster.remove()
  })

  async function take(directory: string, args: readonly string[] = []): Promise<string> {
    const { status, stdout, stderr } = await runBackupProgram(cluster, { directory, args: ['-Ft', ...args] })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout
  }

  /** As the server has them. */
  async function takeTheirs(directory: string, args: readonly string[] = []): Promise<void> {
    const { user } = cluster
    const program = programs.path('pg_basebackup') ?? ''
    const parent = await cluster.makeDirectory(`theirs${theirs++}`)
    const made = join(parent, 'backup')
    await mustRun(program, ['-Ft', '-D', made, '-c', 'fast', '-N', ...args], {
      user,
      env: cluster.environment(),
    })
    await mustRun('cp', ['-r', made, directory])
  }

  test.each([
    { what: 'WAL in an archive of its own', args: [] },
    { what: 'WAL fetched, and settings for a standby', args: ['-X', 'fetch', '-R'] },
  ])(
    'has the archives and members of pg_basebackup, header by header, byte by byte: $what',
    async ({ args }) => {
      const root = scratchDirectory()
      const [ours, theirs] = [join(root, 'ours'), join(root, 'theirs')]
      await takeTheirs(theirs, [...args, '-l', 'a label'])
      expect(await take(ours, [...args, '-l', 'a label'])).toContain('backup successfully verified')
      await expectNothingLeft(cluster)
      const names = (await readdir(theirs)).toSorted()
      expect((await readdir(ours)).toSorted()).toEqual(names)
      const archives = names.filter((name) => name !== 'backup_manifest')
      expect(archives).toHaveLength(args.length === 0 ? 5 : 4)
      for (const name of archives) {
        expect(statSync(join(ours, name)).mode & 0o777).toBe(0o600)
        const [our, their] = [readMembers(join(ours, name)), readMembers(join(theirs, name))]
        expect(differences(name, our, their)).toEqual([])
      }
      const order = readMembers(join(ours, 'base.tar')).map(({ name }) => name)
      expectParentsFirst(order)
      expect(order.slice(0, 2)).toEqual(['backup_label', 'tablespace_map'])
      const last = readMembers(join(theirs, 'base.tar')).map(({ name }) => name)
      expect(tail(order)).toEqual(tail(last))
    },
  )

  let toCompareWith: Promise<string> | undefined

  async function takeOnce(): Promise<string> {
    const theirs = join(kept.path, 'theirs')
    await takeTheirs(theirs, ['-l', 'a label'])
    return theirs
  }

  test.each([
    { method: 'gzip', spelled: 'client-gzip:1', warning: undefined },
    { method: 'gzip', spelled: 'server-gzip:1', warning: 'compression on the server is not supported' },
    { method: 'lz4', spelled: 'lz4:5', warning: 'lz4 compresses at level 1, and not at 5' },
    {
      method: 'zstd',
      spelled: 'client-zstd:level=1,long',
      warning: 'compression option "long" has no effect',
    },
  ])('has the same members compressed by -Z $spelled', async ({ method, spelled, warning }) => {
    const theirs = await (toCompareWith ??= takeOnce())
    const root = scratchDirectory()
    const ours = join(root, 'ours')
    const readsAgain = spelled === 'server-gzip:1'
    const more = readsAgain ? ['--verify'] : []
    const args = ['-Ft', '-Z', spelled, '-j', '3', '-l', 'a label', '--output=json', ...more]
    const { status, stdout, stderr } = await runBackupProgram(cluster, { directory: ours, args })
    expect(status).toBe(0)
    expect(stderr).toMatch(
      warning === undefined ? /^$/ : new RegExp(`^pbmanifest: warning: ${warning}[^\n]*\n$`),
    )
    const { verification } = JSON.parse(stdout)
    expect(verification).toMatchObject({ verdict: 'verified', bytesChecked: expect.any(Number) })
    expectChecksumsFrom(readsAgain ? 'files' : 'copying', verification)
    const suffix = { gzip: '.gz', lz4: '.lz4', zstd: '.zst' }[method] ?? ''
    for (const name of (await readdir(theirs)).filter((name) => name.endsWith('.tar'))) {
      const plain = join(root, name)
      // The peer compresses WAL here, and only by gzip.
      const stored = name === 'pg_wal.tar' && spelled !== 'client-gzip:1' ? name : `${name}${suffix}`
      const program = stored === name ? 'cat' : `${method} -dc`
      await mustRun('sh', ['-c', `${program} < "$1" > "$2"`, 'sh', join(ours, stored), plain])
      expect(differences(name, readMembers(plain), readMembers(join(theirs, name)))).toEqual([])
    }
    const order = readMembers(join(root, 'base.tar')).map(({ name }) => name)
    expectParentsFirst(order)
    expect(order.slice(-3)).toEqual(['backup_label', 'tablespace_map', 'global/pg_control'])
  })

  test('tablespaces do not go to standard output, and nothing is begun', async () => {
    const { status, stderr } = await runBackupProgram(cluster, {
      directory: '-',
      args: ['-Ft', '-X', 'none'],
    })
    expect(status).toBe(2)
    expect(stderr).toContain('error: can only write single tablespace to stdout, database has 4\n')
    await expectNothingLeft(cluster)
  })

  test('a server starts on what GNU tar makes of it, as a standby', async () => {
    const root = scratchDirectory()
    // The WAL is among the files there, so all is read.
    const stdout = await take(join(root, 'backup'), ['-R', '-X', 'fetch', '-j', '3'])
    expect(stdout).not.toContain('computed while copying')
    const site = extract(join(root, 'backup'))
    const restored = await startRestored(programs, site, 'standby')
    ends.push(() => restored.remove())
    expect(await restored.sql('SELECT count(*)::int AS n FROM other')).toEqual([{ n: 5000 }])
    await poll('the standby to stream', async () => {
      const rows = await restored.sql(`SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'`)
      return rows.length === 1
    })
  })

  test('a name that is too long is refused in the words of the server, and nothing is left', async () => {
    const root = scratchDirectory()
    const long = join(cluster.dataDirectory, 'x'.repeat(100))
    writeFileSync(long, '')
    ends.push(() => rmSync(long))
    const { status, stderr } = await runBackupProgram(cluster, { directory: join(root, 'b'), args: ['-Ft'] })
    expect(status).toBe(5)
    expect(stderr).toContain(`error: file name too long for tar format: "${'x'.repeat(100)}"\n`)
    expect(await readdir(root)).toEqual([])
    await expectNothingLeft(cluster)
  })

  test.each([[[]], [['-Z', 'lz4']]])('a full disk ends it with %j, and nothing is left', async (args) => {
    const root = scratchDirectory()
    const disk = join(root, 'disk')
    const unmount = mountSmallDisk(disk, args.length === 0 ? 'size=12m' : 'size=6m')
    if (unmount === undefined) return
    ends.push(unmount)
    const directory = join(disk, 'b')
    const { status, stderr } = await runBackupProgram(cluster, { directory, args: ['-Ft', ...args] })
    expect(status).toBe(5)
    // Whichever of its files meets it first.
    expect(stderr).toMatch(/^pbmanifest: error: could not write .*No space left on device/m)
    expect(await readdir(disk)).toEqual([])
    await expectNothingLeft(cluster)
  })

  test('who interrupts it has nothing left, unless that is asked for', async () => {
    for (const more of [[], ['-Z', 'lz4'], ['--no-clean']]) {
      const directory = join(scratchDirectory(), 'b')
      const keeps = more.includes('--no-clean')
      const running = startBackupProgram(cluster, { directory, args: ['-Ft', '--max-rate=1400k', ...more] })
      await untilArchived(running)
      running.process.kill('SIGINT')
      expect(await running.result).toMatchObject({ status: 130 })
      const left: readonly string[] = await readdir(directory).catch(() => [])
      expect(left.includes('base.tar')).toBe(keeps)
      expect(left).not.toContain('backup_manifest')
      await expectNothingLeft(cluster)
    }
  })

  // The last one: it changes the cluster.
  test('has files that vanish, grow and shrink, and is good', async () => {
    const directory = join(scratchDirectory(), 'b')
    const args = ['-Ft', '--jobs=2', '--max-rate=3500k', '--output=json']
    const running = startBackupProgram(cluster, { directory, args })
    await untilArchived(running)
    await cluster.sql(
      `DO $$ BEGIN FOR n IN 1..30 LOOP EXECUTE 'DROP TABLE passing' || n; END LOOP; END $$; CHECKPOINT`,
    )
    await cluster.sql('INSERT INTO growing SELECT n FROM generate_series(1, 100000) AS n')
    await cluster.sql('DELETE FROM shrinking WHERE n > 100')
    await cluster.sql('VACUUM shrinking')
    await cluster.sql('CHECKPOINT')
    const { status, stdout, stderr } = await running.result
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const report = JSON.parse(stdout)
    expect(report.filesVanished).toBeGreaterThan(0)
    expect(report).toMatchObject({ format: 'tar', verification: { verdict: 'verified' } })
    expectChecksumsFrom('copying', report.verification)
    expect(await pbmanifest(['verify', '--quiet', directory])).toMatchObject({ status: 0, stderr: '' })
    const restored = await startRestored(programs, extract(directory))
    ends.push(() => restored.remove())
    expect(await restored.sql('SELECT count(*)::int AS n FROM growing')).toEqual([{ n: 150_000 }])
    expect(await restored.sql('SELECT count(*)::int AS n FROM shrinking')).toEqual([{ n: 100 }])
  })
})

/** As somebody restores by hand: tablespaces go elsewhere, for which tablespace_map is changed. */
function extract(backup: string): RestoreSite {
  const site = createRestoreSite()
  ends.push(() => site.scratch.remove())
  const { directory } = site
  mkdirSync(directory, { mode: 0o700 })
  unpack(join(backup, 'base.tar'), directory)
  const map = readFileSync(join(directory, 'tablespace_map'), 'utf8')
  for (const [, oid = ''] of map.matchAll(/^([0-9]+) /gm)) {
    const place = join(site.scratch.path, oid)
    mkdirSync(place, { mode: 0o700 })
    unpack(join(backup, `${oid}.tar`), place)
    symlinkSync(place, join(directory, 'pg_tblspc', oid))
  }
  rmSync(join(directory, 'tablespace_map'))
  const wal = join(backup, 'pg_wal.tar')
  if (statSync(wal, { throwIfNoEntry: false }) !== undefined) unpack(wal, join(directory, 'pg_wal'))
  return site
}

function unpack(archive: string, directory: string): void {
  execFileSync('tar', ['-xpf', archive, '-C', directory])
}

/** Waits until files have come, and fails when the program ends before. */
async function untilArchived({ directory, result }: RunningBackup): Promise<void> {
  let ended: string | undefined
  const watchEnd = async (): Promise<void> => {
    ended = (await result).stderr
  }
  void watchEnd()
  await poll('the copying to begin', async () => {
    if (ended !== undefined) throw new Error(`the backup ended before: ${ended}`)
    const sizes = ['base.tar', 'base.tar.lz4'].map(
      (name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0,
    )
    return Math.max(...sizes) > 300_000
  })
}

/** What one has and the other has not. */
function differences(
  archive: string,
  ours: readonly StoredMember[],
  theirs: readonly StoredMember[],
): readonly string[] {
  if (archive === 'pg_wal.tar') return ours.map(shapeOf).filter((shape) => !walShape.test(shape))
  const [our, their] = [new Set(sorted(ours)), new Set(sorted(theirs))]
  return [...[...our].filter((item) => !their.has(item)), ...[...their].filter((item) => !our.has(item))]
}

/** Nothing computes checksums where none is read again. */
function expectChecksumsFrom(from: 'copying' | 'files', report: VerifyReport): void {
  const { checksumsFrom, engines, notChecked, manifest, filesChecked, walRecords } = report
  expect(checksumsFrom).toBe(from)
  expect(Object.keys(engines)).toEqual(from === 'copying' ? [] : ['CRC32C'])
  const left = new Set<string>(notChecked.map(({ what }) => what))
  expect(left.has('reading-again')).toBe(from === 'copying')
  expect(left.has('page-checksums')).toBe(from === 'copying')
  expect(walRecords).toBeGreaterThan(0)
  // But for postgresql.auto.conf.
  expect(filesChecked).toBe(manifest.files - 1)
}

/** Directories come before what is in them. */
function expectParentsFirst(names: readonly string[]): void {
  const seen = new Set(['.'])
  const early = names.filter((name) => {
    const path = name.replace(/^\.\//, '').replace(/\/$/, '')
    if (name.endsWith('/')) seen.add(path)
    return !seen.has(dirname(path))
  })
  expect(early).toEqual([])
}

/** The names from pg_control on. */
function tail(names: readonly string[]): string[] {
  const last = names.slice(names.indexOf('global/pg_control'))
  return [...new Set(last.map((name) => name.replace(/[0-9A-F]{24}/, 'SEGMENT')))]
}

/** What is another one in every backup: times, positions, and what depends on these. SQL does not tell modes of what is not PostgreSQL's own. */
const changing =
  /^(?:backup_label|tablespace_map|global\/pg_control|standby\.signal|postgresql\.auto\.conf|(?:\.\/)?pg_wal\/.*|pg_(?:replslot|logical)\/.*|odd .*)$/s

/** Of more than one that are of the same shape, one. */
function sorted(members: readonly StoredMember[]): string[] {
  const shapes = members.map((member) =>
    changing.test(member.name) ? shapeOf(member) : JSON.stringify(timeless(member)),
  )
  return [...new Set(shapes)].toSorted()
}

/** A checkpoint, with which a backup begins, may write what is not in a database. */
function timeless(member: StoredMember): StoredMember {
  if (/^(?:base|PG_[0-9_]+)\/[0-9]+\/./.test(member.name)) return member
  return { ...member, header: `${member.header.slice(0, 136)}${member.header.slice(148)}` }
}

/** All but the time, and for WAL, which one it is; not the bytes. */
function shapeOf({ name, header }: StoredMember): string {
  const shown = name.replace(/[0-9A-F]{24}/, 'SEGMENT')
  const mode = name.startsWith('odd ') ? '' : header.slice(100, 108)
  const size = name === 'postgresql.auto.conf' ? '' : header.slice(124, 136)
  return [shown, mode, size, header.slice(156)].join('|')
}

const walShape =
  /^(?:SEGMENT\|0000600 \|00004000000 |archive_status\/SEGMENT\.done\|0000600 \|00000000000 )\|0/
