import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { open, readlink, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { diffManifests, listManifestFiles, readManifest, verifyBackup } from 'pbmanifest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatLsn, parseLsn } from '../../src/postgres/lsn.js'
import { validatorOf } from '../../src/schemas/validator.js'
import { mainFile, pbmanifest } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { writeOddFiles } from '../helpers/odd-files.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { poll } from '../helpers/poll.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { takeBaseBackup } from '../helpers/replication-connection.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { ownTree, pbmanifestWithoutPrivileges } from '../verify/run-without-privileges.js'
import { copyLiveTree, copyTree, mustRun } from '../helpers/run-program.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'
import { createStandby } from '../helpers/standby.js'

const timeout = 240_000

/** Copies the data directory as anybody would, tablespaces and all. */
async function copyCluster(cluster: Cluster, name: string, parent = cluster.scratch.path): Promise<string> {
  const root = join(parent, 'copies', name)
  const directory = join(root, 'data')
  mkdirSync(root, { recursive: true })
  await copyLiveTree(cluster.dataDirectory, directory)
  for (const oid of readdirSync(join(directory, 'pg_tblspc'))) {
    const link = join(directory, 'pg_tblspc', oid)
    const copy = join(root, oid)
    await copyTree(await readlink(link), copy)
    await rm(link)
    await symlink(copy, link)
  }
  return directory
}

interface LowLevelCopy {
  readonly directory: string
  readonly endLsn: string
  /** A directory with the WAL that was there after the end, without the history file. */
  readonly archive: string
  /** One with nothing but that. */
  readonly history: string
}

/** A copy that was made in backup mode, while tables change. */
async function copyInBackupMode(
  cluster: Cluster,
  name: string,
  primary: Cluster = cluster,
): Promise<LowLevelCopy> {
  const client = await cluster.client()
  try {
    await client.query(`SELECT pg_backup_start('${name}', true)`)
    await primary.sql('UPDATE here SET n = n + 1')
    const directory = await copyCluster(cluster, name, primary.scratch.path)
    await primary.sql('UPDATE here SET n = n + 1')
    const { rows } = await client.query<{ lsn: string; labelfile: string; isStandby: boolean }>(
      'SELECT lsn::text, labelfile, pg_is_in_recovery() AS "isStandby" FROM pg_backup_stop(false)',
    )
    writeFileSync(join(directory, 'backup_label'), rows[0]?.labelfile ?? '')
    if (rows[0]?.isStandby === false) await client.query('SELECT pg_switch_wal()')
    const archive = join(directory, '..', 'archive')
    await copyLiveTree(join(cluster.dataDirectory, 'pg_wal'), archive)
    const history = join(directory, '..', 'history')
    mkdirSync(history)
    for (const name of readdirSync(archive).filter((name) => name.endsWith('.backup'))) {
      renameSync(join(archive, name), join(history, name))
    }
    return { directory, endLsn: rows[0]?.lsn ?? '', archive, history }
  } finally {
    await client.end()
  }
}

/** Whether a manifest, and nothing else of ours, is there. */
function ourFiles(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith('backup_manifest'))
}

async function expectVerified(directory: string, walDirectory?: string): Promise<void> {
  const report = await verifyBackup(directory, walDirectory === undefined ? {} : { walDirectory })
  expect(report).toMatchObject({ verdict: 'verified', problems: [] })
  expect(report.notChecked.map(({ what }) => what)).not.toContain('wal-records')
}

const fill = `
  CREATE TABLE here AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 20000) AS n;
  CREATE TABLE there TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n;
  CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
`

describeWithDebianPostgres('create, with PostgreSQL 15', (programs) => {
  let cluster: Cluster
  let copy: LowLevelCopy
  let crashed: string
  let stopped: string
  let standbyCopy: LowLevelCopy
  let stoppedStandby: string
  let crashedStandby: string

  beforeAll(async () => {
    // What cannot be archived stays, the history file of a backup too.
    const settings = { archive_mode: true, archive_command: 'false' }
    cluster = await createCluster(programs, { walSegmentMegabytes: 1, settings })
    await cluster.createTablespace('elsewhere')
    await cluster.sql(fill)
    await writeOddFiles(cluster.dataDirectory)
    copy = await copyInBackupMode(cluster, 'low-level')
    const standby = await createStandby(cluster)
    try {
      const lsn = (
        await cluster.sql<{ lsn: string }>('CHECKPOINT; SELECT pg_current_wal_flush_lsn()::text AS lsn')
      )[0]?.lsn
      await poll('the standby to replay', async () => {
        const [row] = await standby.sql<{ done: boolean }>(
          `SELECT pg_last_wal_replay_lsn() >= '${lsn}' AS done`,
        )
        return row?.done === true
      })
      standbyCopy = await copyInBackupMode(standby, 'standby', cluster)
      await standby.stop()
      stoppedStandby = await copyCluster(standby, 'stopped-standby', cluster.scratch.path)
      await standby.start()
      await standby.stop('immediate')
      crashedStandby = await copyCluster(standby, 'crashed-standby', cluster.scratch.path)
    } finally {
      await standby.remove()
    }
    await cluster.sql('UPDATE here SET n = n + 1')
    await cluster.stop('immediate')
    crashed = await copyCluster(cluster, 'crashed')
    await cluster.start()
    await cluster.stop()
    stopped = await copyCluster(cluster, 'stopped')
    await cluster.start()
  }, timeout)

  afterAll(() => cluster.remove())

  test('a copy made in backup mode ends where the record in the WAL says', { timeout }, async () => {
    const { directory, archive, endLsn } = copy
    const manifest = join(directory, 'backup_manifest')
    expect(await pbmanifest(['create', '-w', archive, directory])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^created "${manifest}": \\d+ files, [0-9.]+ MB\nWAL needed: \\S+ to ${endLsn} on timeline 1 \\(end: by the record of its end in the WAL\\)\n$`,
        ),
      ),
      stderr: expect.stringMatching(
        /^pbmanifest: listed \d+ files that no base backup has, too \("postmaster.*\)\n$/,
      ),
    })
    expect(await pgVerifyBackup(programs, ['-w', archive, directory])).toMatchObject({ status: 0 })
    await expectVerified(directory, archive)
    expect(ourFiles(directory)).toEqual(['backup_manifest'])

    expect(await runCommandLine(['create', '-q', '-w', archive, directory])).toEqual({
      status: 5,
      stdout: '',
      stderr: `pbmanifest: error: could not create file "${manifest}": File exists\npbmanifest: hint: Use --force to replace it, or -o, --output to write another file.\n`,
    })
    const args = ['create', '-qf', '-j1', '--manifest-checksums=sha256', `--end-lsn=${endLsn}`, directory]
    expect(await runCommandLine(args)).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(await pgVerifyBackup(programs, ['-w', archive, directory])).toMatchObject({ status: 0 })
    const list = [...(await listManifestFiles(directory))]
    expect(list.every(({ checksum }) => checksum?.algorithm === 'SHA256')).toBe(true)
    const { walRanges } = await readManifest(manifest)
    expect(walRanges.map((range) => range.endLsn)).toEqual([parseLsn(endLsn)])
    rmSync(manifest)
  })

  test('the WAL may be in an archive, and the result be JSON', { timeout }, async () => {
    const { directory, archive, endLsn } = copy
    const tar = join(cluster.scratch.path, 'wal.tar.gz')
    await mustRun('tar', ['-czf', tar, '-C', archive, '.'])
    const output = join(cluster.scratch.path, 'manifest.json')
    const { status, stdout } = await runCommandLine(['create', '--json', '-w', tar, '-o', output, directory])
    expect(status).toBe(0)
    const report: unknown = JSON.parse(stdout)
    expect(validatorOf('create-report')(report)).toBe(undefined)
    const { files, walRanges } = await readManifest(output)
    expect(report).toMatchObject({
      manifest: output,
      files: files.length,
      endFoundBy: 'backup-end-record',
      walRanges: [{ timeline: 1, startLsn: formatLsn(walRanges[0]?.startLsn ?? 0n), endLsn }],
    })
    rmSync(output)

    truncateSync(tar, statSync(tar).size - 100)
    const cut = await runCommandLine(['create', '--json', '-w', tar, '-o', output, directory])
    expect(cut.status).toBe(4)
    expect(JSON.parse(cut.stdout)).toMatchObject({
      error: { code: 'BAD_FILE', message: expect.stringContaining(`could not read archive "${tar}": `) },
    })
    expect(existsSync(output)).toBe(false)
    expect(ourFiles(directory)).toEqual([])
  })

  test('the manifest is the same for any number of threads', { timeout }, async () => {
    const { directory, archive } = copy
    const outputs = ['1', '7'].map((jobs) => join(cluster.scratch.path, `manifest-${jobs}`))
    for (const [index, jobs] of ['1', '7'].entries()) {
      const args = ['create', '-q', '-j', jobs, '-w', archive, '-o', outputs[index] ?? '', directory]
      expect(await runCommandLine(args)).toMatchObject({ status: 0 })
    }
    const [one = '', seven = ''] = outputs
    const [diff, other] = [await diffManifests(one, seven), await readManifest(one)]
    expect(diff.sameFiles + diff.counts['not-compared'].files).toBe(other.files.length)
    expect(diff.counts['not-compared'].files).toBe(1)
    expect(ourFiles(directory)).toEqual([])
  })

  test('a backup history file says where a copy ends', { timeout }, async () => {
    const { directory, history, endLsn } = copy
    const output = join(cluster.scratch.path, 'history_manifest')
    const { status, stdout } = await runCommandLine(['create', '-w', history, '-o', output, directory])
    expect(status).toBe(0)
    expect(stdout).toContain(` to ${endLsn} on timeline 1 (end: by the backup history file)\n`)
  })

  test('a copy whose WAL does not say where it ends is refused', { timeout }, async () => {
    const { directory, archive } = copy
    expect(await runCommandLine(['create', directory])).toEqual({
      status: 4,
      stdout: '',
      stderr: expect.stringMatching(
        new RegExp(
          `^pbmanifest: error: could not create manifest: nothing says where the backup in "${directory}" ends: the WAL in "${directory}/pg_wal" ends .*, without a record of the end of this backup\npbmanifest: hint: Name the archive with --wal-path, .*--end-lsn.*\n$`,
        ),
      ),
    })
    const empty = join(cluster.scratch.path, 'empty')
    mkdirSync(empty, { recursive: true })
    for (const wal of [empty, join(empty, 'none')]) {
      const { status, stderr } = await runCommandLine(['create', '-w', wal, directory])
      expect(status).toBe(4)
      expect(stderr).toContain(` is not in "${wal}"`)
    }
    const noArchive = join(directory, 'PG_VERSION')
    expect(await runCommandLine(['create', '-w', noArchive, directory])).toMatchObject({
      status: 4,
      stderr: expect.stringContaining(`error: could not read archive "${noArchive}": `),
    })
    const reversed = await runCommandLine(['create', '--end-lsn=0/1', directory])
    expect(reversed).toMatchObject({ status: 4, stdout: '' })
    expect(reversed.stderr).toContain('reversed')
    expect((await runCommandLine(['create', '--start-lsn=0/1', '-w', archive, directory])).status).toBe(4)
    expect(ourFiles(directory)).toEqual([])
  })

  test('the directory of a running server is refused', { timeout }, async () => {
    const output = join(cluster.scratch.path, 'live_manifest')
    for (const option of ['--progress', '--snapshot', '--end-lsn=F/0']) {
      const { status, stdout, stderr } = await runCommandLine([
        'create',
        option,
        '-o',
        output,
        cluster.dataDirectory,
      ])
      expect({ option, status, stdout }).toEqual({ option, status: 4, stdout: '' })
      expect(stderr).toContain(`a server (process ${cluster.pid()}) is running in "${cluster.dataDirectory}"`)
    }
    expect(existsSync(output)).toBe(false)
    expect(ourFiles(cluster.dataDirectory)).toEqual([])
  })

  test(
    'a cluster that was neither stopped nor in backup mode must be said to be a snapshot',
    { timeout },
    async () => {
      for (const more of [[], ['--end-lsn=F/0'], ['--wal-range=1,0/2000028,0/3000000']]) {
        const { status, stderr } = await runCommandLine(['create', ...more, crashed])
        expect(status).toBe(4)
        expect(stderr).toContain(
          'was not shut down (pg_control says "in production"), and there is no backup_label',
        )
        expect(stderr).toContain('--snapshot')
      }
      expect(ourFiles(crashed)).toEqual([])
      const { status, stdout } = await runCommandLine(['create', '--snapshot', '-P', crashed])
      expect(status).toBe(0)
      expect(stdout).toContain('(end: the last record in the WAL)')
      expect(await pgVerifyBackup(programs, [crashed])).toMatchObject({ status: 0 })
      await expectVerified(crashed)
      rmSync(join(crashed, 'backup_manifest'))
    },
  )

  test('WAL of a snapshot that goes on behind damage does not end there', { timeout }, async () => {
    const damaged = join(cluster.scratch.path, 'damaged')
    await copyTree(crashed, damaged)
    const [first = ''] = readdirSync(join(damaged, 'pg_wal'))
      .filter((name) => /^[0-9A-F]{24}$/.test(name))
      .slice(-2)
    const output = join(cluster.scratch.path, 'undamaged_manifest')
    expect((await runCommandLine(['create', '-q', '--snapshot', '-o', output, damaged])).status).toBe(0)
    const { walRanges } = await readManifest(output)
    const { startLsn = 0n, endLsn = 0n } = walRanges[0] ?? {}
    expect(endLsn - startLsn).toBeGreaterThan(100_000n)
    const place = startLsn + 50_000n
    const name = `00000001${(place >> 32n).toString(16).padStart(8, '0')}${((place & 0xffff_ffffn) >> 20n).toString(16).padStart(8, '0')}`
    expect(first).not.toBe('')
    const file = await open(join(damaged, 'pg_wal', name.toUpperCase()), 'r+')
    await file.write(Buffer.from('damage'), 0, 6, Number(place & 0xf_ffffn))
    await file.close()
    const { status, stderr } = await runCommandLine(['create', '--snapshot', damaged])
    expect(status).toBe(4)
    expect(stderr).toContain('but goes on behind that: it is damaged')
    expect(ourFiles(damaged)).toEqual([])
  })

  test('a stopped cluster needs the WAL of its last checkpoint', { timeout }, async () => {
    const { status, stdout } = await runCommandLine(['create', stopped])
    expect(status).toBe(0)
    expect(stdout).toContain('(end: by the checkpoint of the shutdown)')
    expect(await pgVerifyBackup(programs, [stopped])).toMatchObject({ status: 0 })
    await expectVerified(stopped)
    // All that is there is listed, so a file more or less is seen.
    writeFileSync(join(stopped, 'base/1/16999'), '')
    expect(await pgVerifyBackup(programs, [stopped])).toMatchObject({ status: 1 })
    rmSync(join(stopped, 'base/1/16999'))
    rmSync(join(stopped, 'backup_manifest'))
  })

  test('a copy of a standby that runs ends where pg_backup_stop says', { timeout }, async () => {
    const { directory, archive, endLsn } = standbyCopy
    const { status, stderr } = await runCommandLine(['create', '-w', archive, directory])
    expect(status).toBe(0)
    expect(stderr).toContain(
      'pbmanifest: warning: where the backup ends is known by pg_control only, which must have been copied after all other files',
    )
    expect(await runCommandLine(['create', '-fq', '-w', archive, `--end-lsn=${endLsn}`, directory])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    expect(await pgVerifyBackup(programs, ['-w', archive, directory])).toMatchObject({ status: 0 })
    await expectVerified(directory, archive)
  })

  test('a stopped standby ends at its minimum recovery point', { timeout }, async () => {
    const { status, stdout } = await runCommandLine(['create', stoppedStandby])
    expect(status).toBe(0)
    expect(stdout).toContain('(end: by the minimum recovery point in pg_control)')
    expect(await pgVerifyBackup(programs, [stoppedStandby])).toMatchObject({ status: 0 })
    await expectVerified(stoppedStandby)
  })

  test('so does a snapshot of a standby', { timeout }, async () => {
    const refused = await runCommandLine(['create', crashedStandby])
    expect(refused.status).toBe(4)
    expect(refused.stderr).toContain('was not shut down (pg_control says "in archive recovery")')
    const { status, stdout, stderr } = await runCommandLine(['create', '--snapshot', crashedStandby])
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('warning') })
    expect(stdout).toContain('(end: by the minimum recovery point in pg_control)')
    expect(await pgVerifyBackup(programs, [crashedStandby])).toMatchObject({ status: 0 })
    await expectVerified(crashedStandby)
  })

  test(
    'a file that is no regular one is told, and one that vanishes with all others named',
    { timeout },
    async () => {
      await symlink('postgresql.conf', join(stopped, 'link'))
      const { status, stderr } = await runCommandLine(['create', '-q', stopped])
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: 'pbmanifest: warning: "link" is not a regular file or directory and was passed over\n',
      })
      rmSync(join(stopped, 'backup_manifest'))
      rmSync(join(stopped, 'link'))
    },
  )

  test('a signal ends it, and nothing is left', { timeout }, async () => {
    const large = join(stopped, 'base/1/99999')
    writeFileSync(large, '')
    truncateSync(large, 2 ** 40)
    const child = spawn(process.execPath, [mainFile, 'create', '-j2', stopped], { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('close', (status) => resolve(status)))
    await poll('a fragment', () => Promise.resolve(ourFiles(stopped).length > 0))
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(ourFiles(stopped)).toEqual([])
    rmSync(large)
  })

  test(
    'a copy whose link leads to the tablespace of the cluster itself is refused',
    { timeout },
    async () => {
      const { directory, endLsn } = copy
      const linked = join(cluster.scratch.path, 'linked')
      await copyTree(directory, linked)
      const [oid = ''] = readdirSync(join(linked, 'pg_tblspc'))
      const link = join(linked, 'pg_tblspc', oid)
      await rm(link)
      await symlink(await readlink(join(cluster.dataDirectory, 'pg_tblspc', oid)), link)
      const { status, stderr } = await runCommandLine(['create', `--end-lsn=${endLsn}`, linked])
      expect(status).toBe(4)
      expect(stderr).toContain(
        `"${link}" leads to the tablespace of the cluster in "${cluster.dataDirectory}", not to a copy of it`,
      )
    },
  )

  test('all files that cannot be read are named, whichever thread had them', { timeout }, async () => {
    const own = createScratchDirectory()
    const directory = join(own.path, 'data')
    await copyTree(stopped, directory)
    for (const oid of readdirSync(join(directory, 'pg_tblspc'))) rmSync(join(directory, 'pg_tblspc', oid))
    const names = Array.from({ length: 3000 }, (_, index) => `base/1/${90_000 + index}`)
    for (const name of names) writeFileSync(join(directory, name), '')
    ownTree(own.path)
    const unreadable = [names[0] ?? '', names[1500] ?? '', names[2999] ?? '']
    for (const name of unreadable) chmodSync(join(directory, name), 0)
    const { status, stderr } = await pbmanifestWithoutPrivileges(['create', '-j3', directory])
    expect(status).toBe(5)
    expect(stderr).toMatch(/^pbmanifest: error: could not record 3 of \d+ files\n/)
    expect(stderr.match(/^pbmanifest: detail: .*$/gm)).toEqual(
      unreadable.map((name) => `pbmanifest: detail: "${name}": Permission denied`),
    )
    expect(ourFiles(directory)).toEqual([])
    own.remove()
  })

  test('what is no data directory is refused', { timeout }, async () => {
    const other = join(cluster.scratch.path, 'other')
    mkdirSync(other, { recursive: true })
    expect(await runCommandLine(['create', other])).toMatchObject({
      status: 4,
      stderr: expect.stringContaining(`"${other}" is not a data directory: there is no "global/pg_control"`),
    })
    expect(await runCommandLine(['create', join(other, 'none')])).toMatchObject({
      status: 5,
      stderr: expect.stringContaining(`could not open directory "${other}/none": No such file or directory`),
    })
    const future = join(cluster.scratch.path, 'future')
    await copyTree(stopped, future)
    writeFileSync(join(future, 'PG_VERSION'), '99\n')
    expect(await runCommandLine(['create', future])).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('names no version of PostgreSQL that is known'),
    })
    const torn = join(cluster.scratch.path, 'torn')
    await copyTree(stopped, torn)
    const control = readFileSync(join(torn, 'global/pg_control'))
    control[100] = (control[100] ?? 0) ^ 1
    writeFileSync(join(torn, 'global/pg_control'), control)
    expect(await runCommandLine(['create', torn])).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('CRC is incorrect'),
    })
    for (const output of [join(torn, 'base/manifest'), join(torn, 'other_manifest')]) {
      expect((await runCommandLine(['create', '-o', output, stopped])).status).toBe(0)
      expect((await runCommandLine(['create', '-o', output.replace(torn, stopped), stopped])).status).toBe(2)
    }
    expect((await runCommandLine(['create', '-o', join(other, 'none/manifest'), stopped])).status).toBe(5)
    expect(ourFiles(stopped)).toEqual([])
  })
})

describe('create, with PostgreSQL 18', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres(), {
      settings: { summarize_wal: true, wal_keep_size: '64MB' },
    })
    await cluster.createTablespace('elsewhere')
    await cluster.sql(fill)
  }, timeout)

  afterAll(() => cluster.remove())

  async function takeIncremental(directory: string, label: string): Promise<void> {
    await cluster.sql('UPDATE here SET n = -n WHERE n = 1; UPDATE there SET n = -n WHERE n = 1')
    const { manifest } = await takeBaseBackup(cluster, {
      label,
      incrementalFrom: readFileSync(join(directory, 'backup_manifest')),
    })
    const names = manifest.toString('latin1')
    expect(names).toMatch(/"base\/\d+\/INCREMENTAL\.\d+"/)
    expect(names).toMatch(/"pg_tblspc\/\d+\/PG_18_\d+\/\d+\/INCREMENTAL\.\d+"/)
  }

  test('a server takes it for the base of an incremental backup', { timeout }, async () => {
    const { directory, archive } = await copyInBackupMode(cluster, 'low-level')
    expect(await runCommandLine(['create', '-w', archive, directory])).toMatchObject({ status: 0 })
    await expectVerified(directory, archive)
    await takeIncremental(directory, 'on-copy')

    await cluster.stop()
    const stopped = await copyCluster(cluster, 'stopped')
    await cluster.start()
    expect(await runCommandLine(['create', stopped])).toMatchObject({ status: 0 })
    await expectVerified(stopped)
    await takeIncremental(stopped, 'on-stopped')

    await cluster.stop('immediate')
    const crashed = await copyCluster(cluster, 'crashed')
    await cluster.start()
    expect(await runCommandLine(['create', '--snapshot', crashed])).toMatchObject({ status: 0 })
    await expectVerified(crashed)
    await takeIncremental(crashed, 'on-snapshot')
  })
})
