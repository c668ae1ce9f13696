import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { Ajv2020, type Schema } from 'ajv/dist/2020.js'
import type { BackupReport, VerifyReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { poll } from '../helpers/poll.js'
import { runProgram } from '../helpers/run-program.js'
import { pbmanifest, shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'

/** Of an archive that is written from its beginning to its end. */
const lastMembers: readonly string[] = ['backup_label', 'tablespace_map', 'global/pg_control']

const schemasDirectory = new URL('../../schemas/', import.meta.url)

function validates(schema: string, document: unknown): boolean {
  const parsed = readdirSync(schemasDirectory).map((name): Schema =>
    JSON.parse(readFileSync(new URL(name, schemasDirectory), 'utf8')),
  )
  const ajv = new Ajv2020({ strict: true, schemas: parsed as object[] })
  return ajv.validate(`https://pbmanifest.invalid/schemas/${schema}`, document)
}

describe('a command line that makes no sense', () => {
  // The words of pg_basebackup where it has any.
  test.each([
    [[], 'must specify output directory or backup target'],
    [['-D', '/x', 'y'], 'too many command-line arguments (first is "y")'],
    [['-D', '/x', '-F', 't', '--waldir=/y'], 'WAL directory location can only be specified in plain mode'],
    [['-D', '/x', '-F', 'zip'], 'invalid output format "zip", must be "plain" or "tar"'],
    [['-D', '/x', '-X', 'copy'], 'invalid wal-method option "copy", must be "fetch", "stream", or "none"'],
    [['-D', '/x', '-c', 'soon'], 'invalid checkpoint argument "soon", must be "fast" or "spread"'],
    [['-D', '/x', '-r', '1G'], 'invalid --max-rate unit: "G"'],
    [['-D', '/x', '-j', '0'], 'invalid value "0" for option -j/--jobs'],
    [['-D', '/x', '-j', '129'], 'invalid value "129" for option -j/--jobs'],
    [['-D', '/x', '-T', 'a'], 'invalid tablespace mapping format "a", must be "OLDDIR=NEWDIR"'],
    [['-D', '/x', '--manifest-checksums=MD5'], 'unrecognized checksum algorithm: "MD5"'],
    [['-D', '/x', '-X', 'fetch', '-S', 's'], 'replication slots can only be used with WAL streaming'],
    [['-D', '/x', '--no-slot', '-S', 's'], '--no-slot cannot be used with slot name'],
    [
      ['-D', '/x', '--no-manifest', '--manifest-checksums=NONE'],
      '--no-manifest and --manifest-checksums are incompatible options',
    ],
    [
      ['-D', '/x', '--no-manifest', '--manifest-force-encode'],
      '--no-manifest and --manifest-force-encode are incompatible options',
    ],
    [['-D', '/x', '--no-manifest', '--verify'], '--no-manifest and --verify are incompatible options'],
    [['-D', '/x', '-w', '-W'], '-w/--no-password and -W/--password are incompatible options'],
    [['-D', '/x', '-Z', 'gzip'], 'only tar mode backups can be compressed'],
    [['-D', '/x', '--compress=client-lz4:9'], 'only tar mode backups can be compressed'],
    [['-D', '/x', '-Z', '5'], 'only tar mode backups can be compressed'],
    [['-D', '/x', '-z'], 'only tar mode backups can be compressed'],
    [['-D', '-', '-Ft'], 'cannot stream write-ahead logs in tar mode to stdout'],
    [['-D', '-', '-Ft', '-Xf', '--verify'], '--verify cannot be used where standard output is the archive'],
    [['-D', '/x', '-Z', 'xz'], 'unrecognized compression algorithm: "xz"'],
    [['-D', '/x', '-Z', 'none+'], 'unrecognized compression algorithm: "none+"'],
    [
      ['-D', '/x', '-Z', 'none:1'],
      'invalid compression specification: compression algorithm "none" does not accept a compression level',
    ],
    [['-D', '/x', '--gzip'], 'only tar mode backups can be compressed'],
    [['-D', '/x', '-vx'], 'option -x is not supported'],
    [['-D', '/x', '--xlog-method=stream'], 'option --xlog-method is not supported'],
    [['-D', '/x', '--xlogdir', '/y'], 'option --xlogdir is not supported'],
    [['-t', 'server:/x', '-X', 'none'], 'backup target "server" is not supported'],
    [['--target=blackhole'], 'backup target "blackhole" is not supported'],
    [['-t', 'elsewhere'], 'unrecognized target: "elsewhere"'],
    [['-t', 'blackhole', '-D', '/x'], 'cannot specify both output directory and backup target'],
    [['-t', 'blackhole', '-F', 'p'], 'cannot specify both format and backup target'],
    [['-D', '/x', '-C'], '--create-slot needs a slot to be specified using --slot'],
    [['-D', '/x', '-C', '-S', 's', '-X', 'none'], 'replication slots can only be used with WAL streaming'],
    [['-D', '/x', '--waldir=wal'], 'WAL directory location must be an absolute path'],
    [['-D', '/x', '--sync-method=sync'], 'unrecognized sync method: sync'],
    [['-D', '/x', '-s', 'x'], 'invalid value "x" for option -s/--status-interval'],
    [['-D', '/x', '-s', '2147484'], '-s/--status-interval must be in range 0..2147483'],
    [['-D', '/x', '-P', '--no-estimate-size'], '--progress and --no-estimate-size are incompatible options'],
  ])('%j', async (args, message) => {
    const { status, stdout, stderr } = await runCommandLine(['backup', ...args])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr.split('\n')[0]).toBe(`pbmanifest: error: ${message}`)
    expect(stderr).toContain('Try "pbmanifest backup --help"')
  })

  test('-h is the host, and help is asked for with -? or --help', async () => {
    const { status, stdout } = await pbmanifest(['backup', '-?'])
    expect(status).toBe(0)
    expect(stdout).toContain('-h, --host')
    expect(stdout).toContain('Connection options:')
  })
})

describe('a backup', () => {
  let cluster: Cluster
  let scratch: ScratchDirectory

  beforeAll(async () => {
    // Some of those of the backup before may not be gone yet.
    cluster = await createCluster(await embeddedPostgres(), { settings: { max_connections: 60 } })
  })

  afterAll(async () => {
    await cluster.remove()
  })

  beforeEach(() => {
    scratch = createScratchDirectory()
  })

  afterEach(() => scratch.remove())

  async function backup(...args: readonly string[]) {
    // What one worker shows needs no four.
    const target = ['-D', join(scratch.path, 'backup'), '-c', 'fast', '-N', '-j', '1']
    return await pbmanifest(['backup', ...target, ...args], cluster.environment())
  }

  test.each([
    [['-X', 'fetch', '-R'], 'tar', [...lastMembers, 'standby.signal', 'backup_manifest']],
    [['-X', 'none', '-z', '--no-manifest'], 'tar -z', lastMembers],
  ])('as one archive on standard output with %j', async (args, tar, end) => {
    const archive = join(scratch.path, 'archive')
    const target = ['-Ft', '-D', '-', '-c', 'fast', '-l', 'to a pipe', ...args]
    const { status, stderr } = await shell(
      'archive=$1; shift; pbmanifest backup "$@" > "$archive"',
      archive,
      ...target,
      ...Object.entries(cluster.environment()).flatMap(([name, value]) => connectionOption(name, value)),
    )
    expect({ status, stderr: stderr.replace(/^pbmanifest: WAL archiving is not enabled.*\n/, '') }).toEqual({
      status: 0,
      stderr: '',
    })
    const data = join(scratch.path, 'data')
    mkdirSync(data, { mode: 0o700 })
    const [program = '', ...flags] = tar.split(' ')
    expect(await runProgram(program, [...flags, '-xf', archive, '-C', data])).toMatchObject({ status: 0 })
    const listed = await runProgram(program, [...flags, '-tf', archive])
    const names = listed.stdout.trimEnd().split('\n')
    expect(names.slice(names.indexOf('backup_label'))).toEqual(end)
    const ignored = ['--ignore=postgresql.auto.conf', '--ignore=standby.signal']
    const verified = await pbmanifest(['verify', ...ignored, data])
    expect(verified.status).toBe(end.includes('backup_manifest') ? 0 : 5)
  })

  test('says what it did, what held it up, and that it verifies', async () => {
    const { status, stdout, stderr } = await backup('-j', '2')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [done, bottleneck, verdict, checked] = stdout.split('\n')
    expect(done).toMatch(
      /^base backup completed: \d+ files, \d+\.\d MB in \d+\.\d\d s \(copied at .+\/s\) by [12] workers?$/,
    )
    expect(bottleneck).toMatch(
      /^bottleneck: (?:the server|the network|our own computing|writing|the rate limit) \(\d+% of the time/,
    )
    expect(verdict).toBe('backup successfully verified')
    expect(checked).toMatch(
      /^\d+ of \d+ files, [1-9].* MB checked in .* by checksums computed while copying; not checked: the files read again/,
    )
  })

  test('reads everything again with --verify', async () => {
    const { status, stdout } = await backup('--verify')
    expect(status).toBe(0)
    expect(stdout).not.toContain('file checksums')
  })

  test('is one document with --output=json', async () => {
    const { status, stdout, stderr } = await backup('--output=json', '-j', '3')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const document: unknown = JSON.parse(stdout)
    expect(validates('backup-report.schema.json', document)).toBe(true)
    expect(document).toMatchObject({
      jobs: 3,
      serverMajorVersion: 18,
      host: hostname(),
      verification: {
        verdict: 'verified',
        checksumsFrom: 'copying',
        backup: { label: 'pbmanifest base backup', takenFrom: 'primary', serverMajorVersion: 18 },
      },
    })
    const { path, systemIdentifier, startLsn, verification } = document as BackupReport & {
      verification: VerifyReport
    }
    expect(verification).toMatchObject({ path, backup: { systemIdentifier, startLsn } })
    expect(validates('backup-report.schema.json', { ...(document as object), jobs: 0 })).toBe(false)
  })

  test('that cannot be taken is a document about the error with --output=json', async () => {
    const { status, stdout } = await backup('--output=json', '-U', 'nobody')
    expect(status).toBe(6)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'SERVER' } })
    expect(validates('error.schema.json', JSON.parse(stdout))).toBe(true)
  })

  test('shows progress with -P, and steps and workers with -v', async () => {
    const { status, stderr } = await backup('-P', '-v', '-j', '2', '-l', 'my label')
    expect(status).toBe(0)
    const lines = stderr.split('\n')
    const named = lines.filter((line) => / kB \(\d+%\), [01]\/1 tablespace \(.{35}\)$/.test(line))
    expect(named.length).toBeGreaterThan(0)
    expect(lines.findLast((line) => line.includes(' kB '))).toMatch(
      /^(\d+)\/\1 kB \(100%\), 1\/1 tablespace {41}$/,
    )
    for (const step of [
      'initiating base backup, waiting for checkpoint to complete',
      'checkpoint completed',
      'write-ahead log start point: ',
      'created temporary replication slot "pbmanifest_',
      'starting background WAL receiver',
      'write-ahead log end point: ',
      'waiting for background process to finish streaming ...',
      'renaming backup_manifest.tmp to backup_manifest',
      'worker 0: ',
    ]) {
      expect(stderr).toContain(`pbmanifest: ${step}`)
    }
    expect(readFileSync(join(scratch.path, 'backup', 'backup_label'), 'utf8')).toContain('LABEL: my label\n')
  })

  test.each([
    { args: ['--no-manifest'], manifest: false, status: 0 },
    { args: ['--manifest-checksums=NONE'], manifest: true, status: 0 },
    { args: ['--manifest-checksums=sha256', '--manifest-force-encode'], manifest: true, status: 0 },
    { args: ['-X', 'none'], manifest: true, status: 0 },
    { args: ['-X', 'f', '--no-slot'], manifest: true, status: 0 },
    { args: ['--no-slot'], manifest: true, status: 0 },
    { args: ['-j', '20', '-S', 'idle'], manifest: true, status: 0 },
  ])('is taken with $args', async ({ args, manifest, status }) => {
    if (args.includes('idle')) await cluster.sql(`SELECT pg_create_physical_replication_slot('idle')`)
    const result = await backup(...args)
    // Who takes no WAL along is told by the server that it does not archive it either.
    const stderr = args.includes('none') ? /^pbmanifest: WAL archiving is not enabled; [^\n]*\n$/ : /^$/
    expect(result.stderr).toMatch(stderr)
    expect(result.status).toBe(status)
    const names = await readdir(join(scratch.path, 'backup'))
    expect(names.includes('backup_manifest')).toBe(manifest)
    expect(names.filter((name) => /\.tmp$|unfinished|backup_manifest_/.test(name))).toEqual([])
    const wal = await readdir(join(scratch.path, 'backup', 'pg_wal'))
    expect(wal.some((name) => name.length === 24)).toBe(!args.includes('none'))
    if (!args.includes('idle')) return
    // Before, it kept nothing. The server may learn of the end later than we do.
    await poll('the slot to keep WAL, and to be let go', async () => {
      const rows = await cluster.sql(
        `SELECT FROM pg_replication_slots WHERE slot_name = 'idle' AND restart_lsn IS NOT NULL AND NOT active`,
      )
      return rows.length === 1
    })
    await cluster.sql(`SELECT pg_drop_replication_slot('idle')`)
  })

  test('has its WAL elsewhere, keeps the slot that it made, and is that of a standby', async () => {
    const wal = join(scratch.path, 'wal')
    const target = ['-D', join(scratch.path, 'backup'), '-c', 'FAST', '-t', 'client', '-Z', 'server-gzip:5']
    const slot = ['-R', '-C', '-S', 'kept', '-s', '0', '--no-estimate-size', '-v', '-d', 'dbname=absent']
    const args = ['backup', ...target, ...slot, `--waldir=${wal}/./`, '--sync-method=syncfs']
    const { status, stderr } = await pbmanifest(args, cluster.environment())
    expect(stderr).toContain('pbmanifest: created replication slot "kept"\n')
    expect(stderr).toContain('warning: compression on the server is not supported: files come uncompressed\n')
    expect(status).toBe(0)
    expect(await readlink(join(scratch.path, 'backup', 'pg_wal'))).toBe(wal)
    const names = await readdir(wal)
    expect(names.filter((name) => name.length !== 24).toSorted()).toEqual(['archive_status', 'summaries'])
    expect(names.length).toBeGreaterThan(1)
    const settings = readFileSync(join(scratch.path, 'backup', 'postgresql.auto.conf'), 'utf8')
    expect(settings).toContain("primary_slot_name = 'kept'\n")
    // Named for the standby: pg_basebackup does not connect to it either.
    expect(settings).toMatch(/^primary_conninfo = '.*dbname=absent/m)
    expect(stderr).toContain('warning: database "absent" does not exist: another one is connected to\n')
    const slots = await cluster.sql(
      'SELECT slot_name, temporary, restart_lsn IS NOT NULL AS keeps FROM pg_replication_slots',
    )
    expect(slots).toEqual([{ slot_name: 'kept', temporary: false, keeps: true }])
    const other = ['-D', join(scratch.path, 'again'), `--waldir=${join(scratch.path, 'other')}`]
    const again = await pbmanifest(['backup', ...other, '-C', '-S', 'kept'], cluster.environment())
    expect(again.stderr).toContain('ERROR:  replication slot "kept" already exists')
    expect(again.status).toBe(6)
    expect((await readdir(scratch.path)).toSorted()).toEqual(['backup', 'wal'])
    const full = await pbmanifest(
      ['backup', '-D', join(scratch.path, 'third'), `--waldir=${wal}`],
      cluster.environment(),
    )
    expect(full.stderr).toContain(`directory "${wal}" exists but is not empty`)
    expect((await pbmanifest(['verify', join(scratch.path, 'backup')])).status).toBe(0)
  })

  test('asks for no password without a terminal', async () => {
    const { status, stderr } = await backup('-W')
    expect(status).toBe(2)
    expect(stderr).toContain('pbmanifest: error: cannot ask for a password: there is no terminal')
  })
})

function connectionOption(name: string, value: string): string[] {
  const options: Readonly<Record<string, string>> = {
    PGHOST: '-h',
    PGPORT: '-p',
    PGUSER: '-U',
    PGDATABASE: '-d',
  }
  const option = options[name]
  return option === undefined ? [] : [option, value]
}
