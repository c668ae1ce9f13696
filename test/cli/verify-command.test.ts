import { spawn } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import { rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Ajv2020, type Schema } from 'ajv/dist/2020.js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { VerifyReport } from '../../src/verify/report.js'
import { version } from '../../src/version.js'
import { poll } from '../helpers/poll.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { hasTerminals, startOnTerminal } from '../helpers/terminal.js'
import { mainFile, pbmanifest, shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup, writeTree } from './small-backup.js'

function validates(schema: string, document: unknown): boolean {
  const file = new URL(`../../schemas/${schema}`, import.meta.url)
  const parsed: Schema = JSON.parse(readFileSync(file, 'utf8'))
  return new Ajv2020().compile(parsed)(document)
}

const hasTerminal = await hasTerminals()

let scratch: ScratchDirectory
let backup: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = await writeSmallBackup(scratch.path)
})

afterEach(() => scratch.remove())

describe('a backup that verifies', () => {
  const summary = /^2 files, 3 bytes checked in \d+\.\d\d s(?:; not checked: .+)?$/

  test('is said so on standard output', async () => {
    const { status, stdout, stderr } = await pbmanifest(['verify', '-n', backup])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [verdict, done, ...rest] = stdout.split('\n')
    expect(verdict).toBe('backup successfully verified')
    expect(done).toMatch(summary)
    expect(done).toContain('WAL')
    expect(rest).toEqual([''])
  })

  test('is passed over in silence with -q', async () => {
    expect(await runCommandLine(['verify', '-nq', backup])).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('is told step by step with -v, and in the end with what it was and how it was read', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '-nv', '-j', '2', '-i', 'x y', backup])
    expect({ status, said: stdout.split('\n')[0] }).toEqual({
      status: 0,
      said: 'backup successfully verified',
    })
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll(/\d\.\d\d s/g, 'T s').replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME'))
    const ownChecksum = /"Manifest-Checksum": "(.*)"/.exec(
      readFileSync(join(backup, 'backup_manifest'), 'utf8'),
    )?.[1]
    expect(lines).toEqual([
      'pbmanifest: reading the manifest',
      'pbmanifest: comparing the files that are there with the manifest',
      'pbmanifest: comparing checksums',
      'pbmanifest: comparing pg_control, backup_label and tablespace_map with the manifest',
      `pbmanifest: verified: "${realpathSync(backup)}" on ${hostname()} by pbmanifest ${version}, from TIME to TIME`,
      'pbmanifest: backup: plain format, PostgreSQL 15',
      `pbmanifest: manifest: "${backup}/backup_manifest", version 1, 2 files, 3 bytes, WAL 0/2000028 to 0/2000100 on timeline 1, checksum ${ownChecksum}`,
      'pbmanifest: read with 2 threads: manifest T s, scan T s, checksums T s, cluster T s, wal T s, total T s',
      'pbmanifest: options: noParseWal, ignore "x y"',
      ...lines.filter((line) => line.startsWith('pbmanifest: not checked: ')),
    ])
    expect(lines).toContain('pbmanifest: not checked: wal: skipped on request')
  })

  test('is one document with --output=json also with -v', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '-nvs', '--output=json', backup])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'verified' })
    expect(stderr).toBe(
      [
        'reading the manifest',
        'comparing the files that are there with the manifest',
        'comparing pg_control, backup_label and tablespace_map with the manifest',
      ]
        .map((line) => `pbmanifest: ${line}\n`)
        .join(''),
    )
  })

  test('is one JSON document with --output=json', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '-n', '--output=json', backup])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const report: unknown = JSON.parse(stdout)
    expect(validates('verify-report.schema.json', report)).toBe(true)
    expect(report).toMatchObject({ verdict: 'verified', directory: backup, filesChecked: 2, bytesChecked: 3 })
    expect(stdout).toMatch(/^{\n {2}"reportVersion": 2,\n/)
  })

  test('is named in the report with where, when and how it was verified', async () => {
    const latest = join(scratch.path, 'latest')
    await symlink('backup', latest)
    const before = new Date().toISOString()
    const { stdout } = await shell(
      'cd "$1" && pbmanifest verify -nj 2 -i pg_wal -m latest/backup_manifest --output=json latest',
      scratch.path,
    )
    const report = JSON.parse(stdout) as VerifyReport
    expect(report).toMatchObject({
      directory: 'latest',
      path: realpathSync(backup),
      host: hostname(),
      pbmanifestVersion: version,
      checksumsFrom: 'files',
      backup: { label: null, startTime: null, serverMajorVersion: 15, systemIdentifier: null },
    })
    expect(report.options).toEqual({
      jobs: 2,
      ignore: ['pg_wal'],
      exitOnError: false,
      skipChecksums: false,
      pageChecksums: 'auto',
      noParseWal: true,
      partialWal: false,
      manifestPath: join(realpathSync(scratch.path), 'latest/backup_manifest'),
    })
    const times = [before, report.startedAt, report.endedAt, new Date().toISOString()]
    expect(times).toEqual(times.toSorted())
    expect(validates('verify-report.schema.json', report)).toBe(true)
  })

  test('shows progress on standard error with -P', async () => {
    const { status, stderr } = await runCommandLine(['verify', '-nP', backup])
    expect(status).toBe(0)
    // Once a second, between the first and the last.
    expect(stderr).toMatch(
      /^0\/0 kB \(0%\) verified\n(?:0\/0 kB \(\d+%\) verified\n)*0\/0 kB \(100%\) verified\n$/,
    )
  })

  test.each([
    '-j 1 -F p',
    '--jobs=2 --format=plain',
    '-esq',
    '-i 1260 --ignore=-x',
    '-w /nowhere --wal-path=/nowhere',
  ])('with %s', async (options) => {
    const { status, stderr } = await runCommandLine(['verify', '-n', ...options.split(' '), backup])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  test('does not end in a stack trace when nobody reads', async () => {
    const line = '{ until_nobody_reads; pbmanifest verify -n "$1"; echo "status $?" >&2; } | :'
    expect(await shell(line, backup)).toMatchObject({ stderr: 'status 0\n' })
  })

  test('has status 5 when the verdict cannot be written', async () => {
    expect(await shell('pbmanifest verify -n "$1" > /dev/full', backup)).toMatchObject({ status: 5 })
    // Nagios knows no 5.
    const forNagios = 'pbmanifest verify -n --output=nagios "$1" > /dev/full'
    expect(await shell(forNagios, backup)).toMatchObject({ status: 3 })
  })
})

describe('a damaged backup', () => {
  beforeEach(async () => {
    await writeFile(join(backup, 'PG_VERSION'), '16\n')
    await rm(join(backup, 'base/1/16384'))
    await writeFile(join(backup, 'base/1/1259'), 'x')
  })

  const problems = [
    'pbmanifest: error: "base/1/1259" is present on disk but not in the manifest',
    'pbmanifest: error: "base/1/16384" is present in the manifest but not on disk',
    'pbmanifest: error: checksum mismatch for file "PG_VERSION"',
  ]
  const counts =
    'pbmanifest: backup verification failed: 3 problems (1 missing, 1 extra, 1 checksum-mismatch)'

  test('has every problem and their counts on standard error, and status 1', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '-n', backup])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    const lines = stderr.trimEnd().split('\n')
    expect(lines.filter((line) => line.startsWith('pbmanifest: error: ')).toSorted()).toEqual(problems)
    expect(lines.at(-2)).toMatch(/^pbmanifest: 1 of 2 files, 3 bytes checked in .*not checked: /)
    expect(lines.at(-1)).toBe(counts)
  })

  test('says only the problems and their counts with -q', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '-nq', backup])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    const lines = stderr.split('\n').filter((line) => !line.startsWith('pbmanifest: detail: '))
    expect(lines.toSorted()).toEqual(['', counts, ...problems].toSorted())
  })

  test('is told as JSON, once, with status 1', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '-n', '--output=json', backup])
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    const report: unknown = JSON.parse(stdout)
    expect(validates('verify-report.schema.json', report)).toBe(true)
    expect(report).toMatchObject({
      verdict: 'failed',
      problemCounts: { missing: 1, extra: 1, 'checksum-mismatch': 1, 'size-mismatch': 0 },
    })
  })

  test('stops at the first problem with -e', async () => {
    const { status, stderr } = await runCommandLine(['verify', '-ne', backup])
    expect(status).toBe(1)
    expect(stderr.match(/^pbmanifest: error: /gm)).toHaveLength(1)
    expect(stderr).toContain('anything after the first problem')
  })

  test('verifies when all that is wrong is ignored', async () => {
    await writeFile(join(backup, 'PG_VERSION'), '15\n')
    expect(await runCommandLine(['verify', '-n', '-ibase', backup])).toMatchObject({ status: 0, stderr: '' })
  })

  test('is no verified one when all is ignored', async () => {
    const { status, stdout } = await runCommandLine(['verify', '-n', '-ibase', '-i=PG_VERSION', backup])
    expect({ status, stdout }).toEqual({ status: 7, stdout: '' })
  })

  test('has the same status when nobody reads', async () => {
    const line = '{ until_nobody_reads; pbmanifest verify -n --output=json "$1"; echo "status $?" >&2; } | :'
    expect(await shell(line, backup)).toMatchObject({ stderr: 'status 1\n' })
  })
})

describe('a verification that cannot go on', () => {
  test.each([
    {
      name: 'no manifest',
      spoil: async () => await rm(join(backup, 'backup_manifest')),
      status: 5,
      code: 'IO',
      message: 'could not open file "DIR/backup_manifest": No such file or directory',
    },
    {
      name: 'a manifest that is none',
      spoil: async () =>
        await writeFile(join(backup, 'backup_manifest'), '{ "PostgreSQL-Backup-Manifest-Version": 1'),
      status: 3,
      code: 'BAD_MANIFEST',
      message: 'could not parse backup manifest: ',
    },
  ])('$name', async ({ spoil, status, code, message }) => {
    await spoil()
    const words = message.replace('DIR', backup)
    const text = await runCommandLine(['verify', backup])
    expect(text).toMatchObject({ status, stdout: '' })
    expect(text.stderr).toMatch(/^pbmanifest: error: /)
    expect(text.stderr).toContain(words)

    const json = await runCommandLine(['verify', '--output=json', backup])
    expect(json).toMatchObject({ status, stderr: text.stderr })
    const document: unknown = JSON.parse(json.stdout)
    expect(validates('error.schema.json', document)).toBe(true)
    expect(document).toMatchObject({ error: { code, message: expect.stringContaining(words) } })
  })
})

describe('a signal', () => {
  test.each([
    ['SIGINT', 130, 'pbmanifest: interrupted\n'],
    ['SIGTERM', 143, 'pbmanifest: terminated\n'],
  ] as const)(
    '%s stops a verification with status %d, before the end of what there is to read',
    async (signal, status, message) => {
      // More than is read before the test is out of time.
      const size = 4 * 1024 ** 4
      const large = { path: 'base/1/16385', size, checksum: '00000000' }
      await writeTree(backup, {
        backup_manifest: formatManifest([versionFile, emptyFile, large]),
        'base/1/16385': '',
      })
      await truncate(join(backup, 'base/1/16385'), size)

      const child = spawn(process.execPath, [mainFile, 'verify', '-nP', backup], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let stderr = ''
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString()
      })
      const hasEnded = new Promise<number | null>((resolve) => child.on('close', resolve))
      await poll('bytes to be read', async () => /^ *[1-9][0-9]*\/[0-9]+ kB/m.test(stderr))
      child.kill(signal)
      expect(await hasEnded).toBe(status)
      expect(stderr.split('\n').filter((line) => !line.endsWith(' verified'))).toEqual([message.trim(), ''])
    },
  )
})

describe('what is missing', () => {
  test('is not said to be a directory that is there and has no segment', async () => {
    const wal = join(backup, '..', 'wal')
    await writeTree(wal, { 'notes.txt': '' })
    const { stderr } = await runCommandLine(['verify', '-w', wal, backup])
    expect(stderr).not.toContain('No such file')
    expect(stderr).toContain('hint: Use -w, --wal-path where the WAL is elsewhere')
    const nowhere = await runCommandLine(['verify', '-w', join(wal, 'none'), backup])
    expect(nowhere.stderr).toContain('No such file or directory')
  })

  test.each([
    { name: 'backup_manifest.tmp', program: 'pg_basebackup' },
    { name: 'pbmanifest.unfinished', program: 'pbmanifest backup' },
  ])('is a manifest, where there is a $name: that says why', async ({ name, program }) => {
    await rm(join(backup, 'backup_manifest'))
    const plain = await runCommandLine(['verify', backup])
    expect(plain.stderr).not.toContain('hint')
    await writeTree(backup, { [name]: '' })
    const { status, stderr } = await runCommandLine(['verify', backup])
    expect(status).toBe(5)
    expect(stderr).toContain(`hint: There is a "${name}": ${program} is still at it, or was ended`)
  })
})

test.runIf(hasTerminal)('progress is no wider than the terminal', async () => {
  const program = `"${process.execPath}" "${mainFile}"`
  const command = `stty cols 12; ${program} verify -nP '${backup}' > /dev/null`
  const child = startOnTerminal(command, { ...process.env, FORCE_COLOR: '0' })
  const shown = await text(child.stdout)
  // The first state, wiped, and the last one, which stays.
  expect(shown).toBe(`0/0 kB (0%)\r${' '.repeat(11)}\r0/0 kB (100%) verified\r\n`)
})
