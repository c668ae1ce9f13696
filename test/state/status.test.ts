import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { readStatus } from '../../src/state/status.js'
import { runCommandLine } from '../cli/run-command-line.js'
import type { ProgramResult } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { writeBackupOfFiles } from './backup-of-files.js'

let scratch: ScratchDirectory
let state: string
let monday: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  state = join(scratch.path, 'state')
  monday = join(scratch.path, 'monday')
  await makeBackup(monday, 'one')
})

afterEach(() => scratch.remove())

const system = '"PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7000000000000000001'

async function makeBackup(directory: string, content: string): Promise<void> {
  await writeBackupOfFiles(directory, { PG_VERSION: '17\n', 'base/1/1': content }, system)
  expect(await runCommandLine(['verify', '-nq', `--state=${state}`, directory])).toMatchObject({ status: 0 })
}

const status = (...args: readonly string[]): Promise<ProgramResult> =>
  runCommandLine(['status', `--state=${state}`, ...args])

describe('status', () => {
  test('tells of a verification that came to no verdict, until there is one', async () => {
    const manifest = join(monday, 'backup_manifest')
    const content = readFileSync(manifest)
    writeFileSync(manifest, content.subarray(0, -5))
    const args = ['verify', '-nq', `--state=${state}`]
    expect((await runCommandLine([...args, monday])).status).toBe(3)
    // Neither says anything of a backup.
    expect((await runCommandLine([...args, join(scratch.path, 'none')])).status).toBe(5)
    expect((await runCommandLine([...args, '-F', 'x', monday])).status).toBe(2)

    const { status: exit, stdout } = await status('--output=json')
    const report: unknown = JSON.parse(stdout)
    expect(validatorOf('status-report')(report)).toBe(undefined)
    expect({ exit, report }).toMatchObject({
      exit: 1,
      report: { bad: 0, failed: [{ path: monday, error: { code: 'BAD_MANIFEST' } }], damaged: [] },
    })
    expect((report as { failed: unknown[] }).failed).toHaveLength(1)
    expect((await status()).stdout).toMatch(
      /^verified .*\n"\/.*\/monday" could not be verified at \S+Z: could not parse backup manifest/m,
    )
    expect(await status('--output=nagios')).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(
        /CRITICAL.* 1 could not be verified; "\/.*\/monday" could not be verified: /,
      ),
    })
    expect((await status('--output=prometheus')).stdout).toContain(
      `pbmanifest_verification_failed{path="${monday}"} 1\n`,
    )

    writeFileSync(manifest, content)
    expect((await runCommandLine([...args, monday])).status).toBe(0)
    expect(await status('--output=json')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('"failed": []'),
    })
  })

  test('tells of each backup its last verdict, sizes and growth', async () => {
    const tuesday = join(scratch.path, 'tuesday')
    await makeBackup(tuesday, 'one and more')
    const { status: exit, stdout } = await status('--output=json')
    expect(exit).toBe(0)
    const report = JSON.parse(stdout)
    expect(validatorOf('status-report')(report)).toBe(undefined)
    expect(report).toMatchObject({
      stateDirectory: state,
      stale: 0,
      bad: 0,
      backups: [
        { path: monday, bytes: 6, growthBytes: null, presence: 'present', lastRun: { verdict: 'verified' } },
        { path: tuesday, bytes: 15, growthBytes: 9, systemIdentifier: '7000000000000000001' },
      ],
    })
    expect(report.backups[0].allReadSince).toBe(report.backups[0].lastRun.startedAt)

    const text = await runCommandLine(['status'], { PBMANIFEST_STATE: state })
    expect(text).toMatchObject({ status: 0, stderr: '' })
    expect(text.stdout.split('\n')[2]).toMatch(
      /^verified {2}\d min ago {2}\d min ago {2}15 bytes {2}\+9 bytes {2}\/.*\/tuesday$/,
    )
  })

  test('has status 1 when a verification is too long ago', async () => {
    expect(await status('--stale=36h')).toMatchObject({ status: 0 })
    const tomorrow = Date.now() + 40 * 3600_000
    expect(readStatus(state, { staleSeconds: 36 * 3600, now: tomorrow })).toMatchObject({ stale: 1 })
    const stale = await status('--stale=0.001s')
    expect(stale).toMatchObject({ status: 1 })
    expect(stale.stdout).toContain('monday (stale)')
    const nagios = await status('--stale=0.001s', '--output=nagios')
    expect(nagios).toMatchObject({ status: 1, stderr: '' })
    expect(nagios.stdout).toMatch(/^PBMANIFEST WARNING - 1 backup, 0 bad, 1 stale; .* \| backups=1;[^\n]*\n$/)
  })

  test('has status 1 when the last verification found problems, but knows the last good one', async () => {
    const good = readStatus(state).backups[0]
    writeFileSync(join(monday, 'base/1/1'), 'eno')
    await runCommandLine(['verify', '-nq', `--state=${state}`, monday])
    expect(await status()).toMatchObject({ status: 1 })
    expect(readStatus(state)).toMatchObject({
      bad: 1,
      backups: [{ isBad: true, runs: 2, lastGoodAt: good?.lastGoodAt, lastRun: { problems: 1 } }],
    })
    expect(await status('--output=nagios')).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(/^PBMANIFEST CRITICAL - 1 backup, 1 bad, 0 stale; ".*monday" failed \| /),
    })
  })

  test('does not count what was removed or replaced', async () => {
    renameSync(monday, join(scratch.path, 'gone'))
    await makeBackup(monday, 'another')
    const all = JSON.parse((await status('--output=json')).stdout)
    expect(all.backups).toMatchObject([
      { path: monday, presence: 'present', bytes: 10 },
      { path: monday, presence: 'replaced', bytes: 6 },
    ])
    renameSync(monday, join(scratch.path, 'gone too'))
    const text = await status('--stale=0.001s')
    expect(text).toMatchObject({
      status: 0,
      stdout: 'no backups\n2 backups removed or replaced: see --all\n',
    })
    expect((await status('--all')).stdout).toMatch(/monday \(removed\)\n.*monday \(replaced\)\n$/)
    expect(await status('--output=nagios')).toMatchObject({ status: 3 })
  })

  test('of no verification at all is no good one to whoever waits for it', async () => {
    state = join(scratch.path, 'never')
    expect(await status()).toMatchObject({ status: 5 })
    expect(await status('--output=nagios')).toMatchObject({
      status: 3,
      stdout: expect.stringMatching(/^PBMANIFEST UNKNOWN - could not open directory .*\n$/),
      stderr: '',
    })
    expect(await runCommandLine(['status'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no state directory specified'),
    })
  })

  test('says what it cannot read', async () => {
    const { stdout } = await status('--output=json')
    const { manifestChecksum } = JSON.parse(stdout).backups[0]
    const { StateDirectory } = await import('../../src/state/state-directory.js')
    const place = StateDirectory.open(state).placeOf({ path: monday, manifestChecksum })
    writeFileSync(join(place, 'backup.json'), '{')
    const damaged = await status()
    expect(damaged).toMatchObject({ status: 5, stdout: 'no backups\n' })
    expect(damaged.stderr).toMatch(/^pbmanifest: error: state file ".*backup.json" is damaged: /)
    expect(await status('--output=nagios')).toMatchObject({ status: 3 })
  })

  test('is text for Prometheus whatever the names are', async () => {
    const hostile = join(scratch.path, 'a "b" \\ {c="d"}\u001b[31m\u202e\n2')
    mkdirSync(hostile)
    await makeBackup(hostile, 'x')
    const { status: exit, stdout } = await status('--output=prometheus')
    expect(exit).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    const samples = lines.filter((line) => !line.startsWith('#'))
    expect(samples.filter((line) => !sampleLine.test(line))).toEqual([])
    // All samples of a family follow its type.
    const families = lines.flatMap((line) => /^# TYPE (\S+) gauge$/.exec(line)?.[1] ?? [])
    const familyOfSample = samples.map((line) => line.slice(0, line.search(/[{ ]/)))
    expect([...new Set(familyOfSample)]).toEqual(families)
    expect(new Set(families).size).toBe(families.length)
    expect(families).toContain('pbmanifest_backup_last_good_verification_timestamp_seconds')
    expect(stdout).toContain(
      String.raw`pbmanifest_backup_bytes{path="${scratch.path}/a \"b\" \\ {c=\"d\"}\\x1b[31m\\xe2\\x80\\xae\\x0a2"`,
    )
  })
})

/** @see https://prometheus.io/docs/instrumenting/exposition_formats/ */
const label = String.raw`[a-z_]+="(?:[^"\\\n]|\\["\\n])*"`
const sampleLine = new RegExp(`^[a-z_]+(?:\\{${label}(?:,${label})*\\})? -?[0-9.]+(?:e[+-]?[0-9]+)?$`)
