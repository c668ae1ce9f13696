import { spawn } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { VerifyReport } from '../../src/verify/report.js'
import { mainFile, pbmanifest } from '../cli/pbmanifest.js'
import { poll } from '../helpers/poll.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { writeBackupOfFiles } from './backup-of-files.js'

let scratch: ScratchDirectory
let backup: string

beforeEach(() => {
  scratch = createScratchDirectory()
  backup = join(scratch.path, 'monday')
})

afterEach(() => scratch.remove())

const files = (count: number): Record<string, Buffer> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`base/1/f${index}`, Buffer.alloc(16_384, index)]),
  )

/** Bytes read at a rate take no less time, however fast the machine is; an eighth of a second's may come at once. */
function expectSlow({ seconds, options }: VerifyReport): void {
  expect(options.maxRate).toBe(32)
  expect(seconds.total).toBeGreaterThan(96 / 32 - 0.2)
}

test('verify -r holds all threads together to a rate', async () => {
  await writeBackupOfFiles(backup, files(6))
  const { status, stdout } = await pbmanifest(['verify', '-n', '-j4', '-r32', '--output=json', backup])
  expect(status).toBe(0)
  const report: VerifyReport = JSON.parse(stdout)
  expect(report).toMatchObject({ verdict: 'verified', filesChecked: 7 })
  expectSlow(report)
})

test('verify -r holds archives to it', async () => {
  await writeBackupOfFiles(backup, files(6))
  const archive = join(scratch.path, 'archive')
  await mustRun('mkdir', [archive])
  await mustRun('tar', ['-C', backup, '-cf', join(archive, 'base.tar'), '--exclude=backup_manifest', '.'])
  await mustRun('cp', [join(backup, 'backup_manifest'), archive])
  const { stdout } = await pbmanifest(['verify', '-n', '-r', '32k', '--output=json', archive])
  const report: VerifyReport = JSON.parse(stdout)
  expect(report).toMatchObject({ format: 'tar', filesChecked: 7, problems: [] })
  expectSlow(report)
})

test.each([
  ['31', 'transfer rate "31" is out of range'],
  ['1G', 'invalid --max-rate unit: "G"'],
  ['x', 'transfer rate "x" is not a valid value'],
])('a rate of %s is refused', async (rate, words) => {
  const { status, stderr } = await pbmanifest(['verify', `--max-rate=${rate}`, backup])
  expect(status).toBe(2)
  expect(stderr).toContain(words)
})

test('a run that is interrupted keeps what it has read', { timeout: 240_000 }, async () => {
  await writeBackupOfFiles(backup, files(200))
  const state = join(scratch.path, 'state')
  const { ctimeMs } = statSync(join(backup, 'backup_manifest'))
  await poll('the files are no longer fresh', async () => Date.now() - ctimeMs > 2100)
  const args = ['verify', '-n', '-P', '-r64', `--state=${state}`, backup]
  const child = spawn(process.execPath, [mainFile, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  await poll('something to be read', async () => /\b[1-9]\d?%/.test(said) || child.exitCode !== null)
  child.kill('SIGINT')
  const status = await new Promise((resolve) => child.once('exit', resolve))
  expect([status, said]).toEqual([130, expect.stringContaining('interrupted')])
  const [place = ''] = readdirSync(join(state, 'backups'))
  expect(existsSync(join(state, 'backups', place, 'evidence'))).toBe(true)
  expect(readdirSync(join(state, 'backups', place, 'reports'))).toEqual([])

  const rest = await pbmanifest([
    'verify',
    '-n',
    '--max-age=30d',
    '--output=json',
    `--state=${state}`,
    backup,
  ])
  const { sample, filesChecked, verdict }: VerifyReport = JSON.parse(rest.stdout)
  expect(verdict).toBe('sampled')
  expect(sample?.rested.files).toBeGreaterThan(0)
  expect(filesChecked).toBe(201 - (sample?.rested.files ?? 0))
})
