import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { RunLock } from '../../src/state/run-lock.js'
import { mainFile, pbmanifest } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { writeBackupOfFiles } from './backup-of-files.js'

let scratch: ScratchDirectory
let backup: string
let state: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = join(scratch.path, 'monday')
  state = join(scratch.path, 'state')
  await writeBackupOfFiles(backup, { 'base/1/1': 'one', 'base/1/2': 'two' })
})

afterEach(() => scratch.remove())

const verify = (...args: readonly string[]): ReturnType<typeof pbmanifest> =>
  runCommandLine(['verify', '-nq', `--state=${state}`, ...args, backup])

/** The only place of a backup in the state. */
function onlyPlace(): string {
  const [name = '', ...more] = readdirSync(join(state, 'backups'))
  expect(more).toEqual([])
  return join(state, 'backups', name)
}

const listReports = (): string[] => readdirSync(join(onlyPlace(), 'reports')).toSorted()

function readRecord(): { readonly runs: readonly { readonly report: string; readonly verdict: string }[] } {
  return JSON.parse(readFileSync(join(onlyPlace(), 'backup.json'), 'utf8'))
}

describe('verify --state', () => {
  test('keeps each report, and a record of all', async () => {
    expect(await verify()).toEqual({ status: 0, stdout: '', stderr: '' })
    writeFileSync(join(backup, 'base/1/2'), 'owt')
    expect(await verify()).toMatchObject({ status: 1 })

    const reports = listReports().map((name): unknown =>
      JSON.parse(readFileSync(join(onlyPlace(), 'reports', name), 'utf8')),
    )
    expect(reports).toMatchObject([
      { verdict: 'verified', path: backup },
      { verdict: 'failed', problems: [{ kind: 'checksum-mismatch', path: 'base/1/2' }] },
    ])
    for (const report of reports) expect(validatorOf('verify-report')(report)).toBeUndefined()
    const record = readRecord()
    expect(validatorOf('state-backup')(record)).toBeUndefined()
    const [header = ''] = readFileSync(join(onlyPlace(), 'evidence'), 'latin1').split('\n')
    expect(validatorOf('evidence-header')(JSON.parse(header))).toBeUndefined()
    expect(record).toMatchObject({
      path: backup,
      files: 3,
      runs: [
        { verdict: 'verified', problems: 0, report: `reports/${listReports()[0]}` },
        { verdict: 'failed', problems: 1, allReadSince: null },
      ],
    })
  })

  test('prints the same report that it keeps', async () => {
    const { status, stdout } = await runCommandLine(['verify', '-n', '--output=json', backup], {
      PBMANIFEST_STATE: state,
    })
    expect(status).toBe(0)
    expect(readFileSync(join(onlyPlace(), 'reports', listReports()[0] ?? ''), 'utf8')).toBe(stdout)
  })

  test('is for nobody else', async () => {
    await verify()
    const modes = [state, join(state, 'backups'), onlyPlace(), join(onlyPlace(), 'reports')].map(modeOf)
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o700])
    const files = [join(state, 'pbmanifest-state.json'), join(onlyPlace(), 'backup.json')]
    expect(files.map(modeOf)).toEqual([0o600, 0o600])
    expect(readdirSync(onlyPlace()).filter((name) => /lock|tmp/.test(name))).toEqual([])
  })

  test.each([
    { what: 'in the backup', where: () => join(backup, 'base/state'), words: 'is in the backup', status: 2 },
    { what: 'the backup itself', where: () => backup, words: 'is in the backup', status: 2 },
    {
      what: 'in a tablespace of the backup',
      where: () => join(scratch.path, 'tablespace/state'),
      words: 'is in the backup',
      status: 2,
    },
    {
      what: 'of other things',
      where: () => join(scratch.path, 'other'),
      words: 'is not a state directory of pbmanifest: it is not empty',
      status: 5,
    },
    {
      what: 'that others can write',
      where: () => join(scratch.path, 'open'),
      words: 'can be written by others',
      status: 5,
    },
    {
      what: 'of a version that is not known',
      where: () => join(scratch.path, 'newer'),
      words: 'it is of version 2, and only 1 is known here',
      status: 5,
    },
    {
      what: 'that is a file',
      where: () => join(scratch.path, 'other/file'),
      words: 'File exists',
      status: 5,
    },
  ])('refuses a directory $what, and writes nothing', async ({ where, words, status }) => {
    mkdirSync(join(scratch.path, 'tablespace'))
    await symlink(join(scratch.path, 'tablespace'), join(backup, 'pg_tblspc/16400'))
    for (const name of ['other', 'open', 'newer']) mkdirSync(join(scratch.path, name))
    writeFileSync(join(scratch.path, 'other/file'), '')
    chmodSync(join(scratch.path, 'open'), 0o777)
    writeFileSync(join(scratch.path, 'newer/pbmanifest-state.json'), '{"stateVersion":2}')
    state = where()
    const result = await verify()
    expect(result).toMatchObject({ status, stdout: '' })
    expect(result.stderr).toContain(words)
    expect(existsSync(join(state, 'backups'))).toBe(false)
  })

  test.each([
    { args: ['--max-age=30d'], words: '--max-age is for use with --state' },
    { args: ['--subset=5%'], words: '--subset is for use with --state' },
    {
      args: ['--state=s', '--subset=5%', '-s'],
      words: 'cannot specify both --subset and -s/--skip-checksums',
    },
    { args: ['--state=s', '--max-age=5'], words: 'invalid value "5" for option --max-age' },
    ...['0%', '101%', '0/3', '4/3', '3', '5x', '', '1e9G'].map((text) => ({
      args: ['--state=s', `--subset=${text}`],
      words: `invalid value "${text}" for option --subset`,
    })),
  ])('is refused: $args', async ({ args, words }) => {
    const { status, stderr } = await runCommandLine(['verify', ...args, backup])
    expect(status).toBe(2)
    expect(stderr).toContain(words)
  })

  test('is refused while another verification has the state, and goes on when that was killed', async () => {
    await verify()
    const lock = RunLock.take(onlyPlace(), 'this test')
    const refused = await pbmanifest(['verify', '-nq', `--state=${state}`, backup])
    expect(refused).toEqual({
      status: 5,
      stdout: '',
      stderr: expect.stringMatching(
        /^pbmanifest: error: process \d+ on ".+" is using the state of the backup in ".+"\npbmanifest: hint: /,
      ),
    })
    lock.release()
    expect(await verify()).toMatchObject({ status: 0 })

    await killWithLock(onlyPlace())
    expect(readdirSync(onlyPlace()).filter((name) => name.startsWith('lock'))).toHaveLength(1)
    expect(await verify()).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(readdirSync(onlyPlace()).filter((name) => name.startsWith('lock'))).toEqual([])
    expect(listReports()).toHaveLength(3)
  })

  test('of several at once, each keeps its report or is refused', async () => {
    const args = ['verify', '-nq', `--state=${state}`, backup]
    const results = await Promise.all(Array.from({ length: 5 }, async () => await pbmanifest(args)))
    const done = results.filter(({ status }) => status === 0)
    expect(done.length).toBeGreaterThan(0)
    expect(results.filter(({ status }) => status === 5)).toHaveLength(5 - done.length)
    expect(listReports()).toHaveLength(done.length)
    expect(
      readRecord()
        .runs.map(({ report }) => report)
        .toSorted(),
    ).toEqual(listReports().map((name) => `reports/${name}`))
  })

  test('puts a damaged record aside, and says so', async () => {
    await verify()
    const path = join(onlyPlace(), 'backup.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"files": 3', '"files": 4'))
    const { status, stderr } = await verify()
    expect(status).toBe(0)
    expect(stderr).toBe(
      `pbmanifest: warning: state file "${path}" is damaged: it does not have its checksum; it is put aside\n`,
    )
    expect(existsSync(`${path}.damaged`)).toBe(true)
    expect(readRecord().runs).toHaveLength(1)
  })

  test('tells the verdict when the disk is full, and leaves the state as it was', async (context) => {
    const disk = join(scratch.path, 'disk')
    const unmount = mountSmallDisk(disk, 'size=256k,mode=700')
    if (unmount === undefined) {
      process.stderr.write('\nSKIPPED "state on a full disk": we may not mount a tmpfs\n\n')
      context.skip()
      return
    }
    try {
      state = join(disk, 'state')
      await verify()
      const before = readFileSync(join(onlyPlace(), 'backup.json'), 'latin1')
      expect(() => writeFileSync(join(disk, 'fill'), Buffer.alloc(512 * 1024))).toThrow('ENOSPC')
      const full = await runCommandLine(['verify', '-n', `--state=${state}`, backup])
      expect(full).toMatchObject({
        status: 5,
        stdout: expect.stringContaining('backup successfully verified'),
      })
      expect(full.stderr).toMatch(
        /^pbmanifest: error: (?:could not keep the report: )?could not (?:write|create) file .*: No space left on device\n$/,
      )
      await rm(join(disk, 'fill'))
      expect(readFileSync(join(onlyPlace(), 'backup.json'), 'latin1')).toBe(before)
      expect(listReports()).toHaveLength(1)
      expect(await verify()).toMatchObject({ status: 0 })
      expect(readRecord().runs).toHaveLength(2)
    } finally {
      unmount()
    }
  })
})

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777
}

/** Takes the lock in a process that is then killed. */
async function killWithLock(place: string): Promise<void> {
  const module = new URL('../src/state/run-lock.js', `file://${dirname(mainFile)}/`)
  const code = `const { RunLock } = await import(process.argv[1])
    RunLock.take(process.argv[2], 'this test')
    process.stdout.write('taken')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, module.href, place], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.once('data', () => child.kill('SIGKILL'))
  await new Promise((resolve) => child.once('exit', resolve))
}

test('verify --state of several backups keeps a report of each, and says nothing with -q', async () => {
  const tuesday = join(scratch.path, 'tuesday')
  await writeBackupOfFiles(tuesday, { 'base/1/1': 'one' })
  for (let run = 0; run < 2; run++) {
    const args = ['verify', '-nq', `--state=${state}`, '--subset=1/2', backup, tuesday]
    expect(await runCommandLine(args)).toEqual({ status: 0, stdout: '', stderr: '' })
  }
  const places = readdirSync(join(state, 'backups')).map((name) => join(state, 'backups', name))
  expect(places.map((place) => readdirSync(join(place, 'reports')).length)).toEqual([2, 2])
  const text = await runCommandLine(['verify', '-n', `--state=${state}`, '--subset=1/2', backup, tuesday])
  expect(text).toMatchObject({ status: 0, stderr: '' })
  expect(text.stdout).toMatch(/\nof 2 backups: 2 without a problem, but not all files were read\n$/)
  expect(text.stdout).not.toContain('successfully verified')
})
