import { cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isPbManifestError, verifyBackups } from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import type { BackupsReport } from '../../src/verify/several/verify-backups.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { pbmanifest, shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { writeSmallBackup } from './small-backup.js'

let scratch: ScratchDirectory
let good: string
let damaged: string
let nothing: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  good = await writeSmallBackup(scratch.path)
  damaged = join(scratch.path, 'damaged')
  await cp(good, damaged, { recursive: true })
  await writeFile(join(damaged, 'PG_VERSION'), '16\n')
  nothing = join(scratch.path, 'nothing')
  await mkdir(nothing)
})

afterEach(() => scratch.remove())

test('each backup has its verdict, and the status is the worst', async () => {
  const { status, stdout, stderr } = await pbmanifest(['verify', '-n', good, nothing, damaged])
  expect(status).toBe(1)
  expect(stdout).toMatch(
    /^backup at ".*\/backup" successfully verified: 2 files, 3 bytes checked in [^\n]*\n$/,
  )
  const lines = stderr.replaceAll(scratch.path, '').trimEnd().split('\n')
  expect(lines).toEqual([
    'pbmanifest: error: backup at "/nothing": could not open file "/nothing/backup_manifest": No such file or directory',
    'pbmanifest: error: backup at "/damaged": checksum mismatch for file "PG_VERSION"',
    expect.stringMatching(
      /^pbmanifest: backup at "\/damaged" verification failed: 1 problem \(1 checksum-mismatch\); 2 files, 3 bytes checked in /,
    ),
    'pbmanifest: of 3 backups: 1 failed, 1 could not be verified, 1 successfully verified',
  ])
})

test('that all verify is said last, and nothing else with -q', async () => {
  await rm(damaged, { recursive: true })
  const other = join(scratch.path, 'other')
  await cp(good, other, { recursive: true })
  const { status, stdout, stderr } = await runCommandLine(['verify', '-n', good, other])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('2 backups successfully verified')
  expect(await runCommandLine(['verify', '-nq', good, other])).toEqual({ status: 0, stdout: '', stderr: '' })
})

test('one JSON document has all reports, and the reason where there is none', async () => {
  const { status, stdout, stderr } = await runCommandLine([
    'verify',
    '-n',
    '--output=json',
    good,
    nothing,
    damaged,
  ])
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
  const document = JSON.parse(stdout) as BackupsReport
  expect(validatorOf('verify-backups-report')(document)).toBeUndefined()
  expect(document).toMatchObject({
    verdict: 'failed',
    counts: { failed: 1, error: 1, partial: 0, verified: 1 },
    backups: [
      { directory: good, report: { verdict: 'verified' } },
      { directory: nothing, error: { code: 'IO' } },
      { directory: damaged, report: { verdict: 'failed', problems: [{ path: 'PG_VERSION' }] } },
    ],
  })
  // Written in pieces, it reads as if it were written at once.
  expect(stdout).toBe(`${JSON.stringify(document, null, 2)}\n`)
})

test.each([
  { what: 'no manifest', backups: ['good', 'nothing'], status: 5 },
  {
    what: 'a manifest that is none, which is worse than none',
    backups: ['nothing', 'spoilt'],
    status: 3,
  },
  { what: 'only a part, which is less than an error', backups: ['ignored'], status: 7 },
])('without a damaged backup, the status is that of $what', async ({ backups, status }) => {
  const spoilt = join(scratch.path, 'spoilt')
  await mkdir(spoilt)
  await writeFile(join(spoilt, 'backup_manifest'), '{')
  const paths: Record<string, string[]> = {
    good: [good],
    nothing: [nothing],
    spoilt: [spoilt],
    ignored: [good, `${good}/../backup`, damaged, '-i', 'base', '-i', 'PG_VERSION'],
  }
  const args = backups.flatMap((name) => paths[name] ?? [])
  expect(await runCommandLine(['verify', '-n', ...args])).toMatchObject({ status })
})

describe('a glob', () => {
  test('stands for the directories that it matches, in the order of their names', async () => {
    await writeFile(join(scratch.path, 'backup.sig'), '')
    await symlink('backup', join(scratch.path, 'latest'))
    await symlink('gone', join(scratch.path, 'broken'))
    const { status, stdout } = await runCommandLine(['verify', '-n', '--output=json', `${scratch.path}/*`])
    expect(status).toBe(1)
    const { backups } = JSON.parse(stdout) as BackupsReport
    // A link to a directory that is there is not verified again.
    expect(backups.map(({ directory }) => directory)).toEqual([good, damaged, nothing])
  })

  test('that matches one is as one that matches more', async () => {
    const { stdout } = await runCommandLine(['verify', '-n', '--output=json', `${scratch.path}/back?p`])
    expect(JSON.parse(stdout)).toMatchObject({ backups: [{ directory: good }] })
  })

  test('that matches nothing is an error, whatever else was named', async () => {
    const pattern = `${scratch.path}/no*such`
    for (const args of [[pattern], [good, pattern]]) {
      expect(await runCommandLine(['verify', '-n', ...args])).toEqual({
        status: 5,
        stdout: '',
        stderr: `pbmanifest: error: no backup found: "${pattern}" is no directory and matches none\n`,
      })
    }
  })

  test('is none when a directory has that name', async () => {
    const odd = join(scratch.path, 'b[a]ckup')
    await cp(good, odd, { recursive: true })
    const { status, stdout } = await runCommandLine(['verify', '-n', odd])
    expect({ status, line: stdout.split('\n')[0] }).toEqual({
      status: 0,
      line: 'backup successfully verified',
    })
  })
})

test('a directory that is named twice is verified once', async () => {
  const { status, stdout } = await shell(
    'cd "$1" && pbmanifest verify -n backup ./backup backup/',
    scratch.path,
  )
  expect(status).toBe(0)
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('1 backup successfully verified')
})

test.each([
  [['-m', 'x'], '-m/--manifest-path is for one backup only'],
  [['--signature=x', '--allowed-signers=x'], '--signature is for one backup only'],
  [['--archive=base'], '--archive is for an archive on standard input'],
  [['-'], 'an archive on standard input is verified alone'],
])('%j is refused with several backups', async (args, message) => {
  const { status, stdout, stderr } = await runCommandLine(['verify', ...args, good, damaged])
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toContain(`pbmanifest: error: ${message}\n`)
})

test('a signal ends all of them', async () => {
  const controller = new AbortController()
  const seen: string[] = []
  const run = verifyBackups([good, damaged], {
    noParseWal: true,
    signal: controller.signal,
    onBackup: ({ directory }) => {
      seen.push(directory)
      controller.abort()
    },
  })
  const error: unknown = await run.catch((thrown: unknown) => thrown)
  expect(isPbManifestError(error) && error.code).toBe('ABORTED')
  expect(seen).toEqual([good])
})
