import { spawn } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { VerifyReport } from '../../src/verify/report.js'
import { validatorOf } from '../../src/schemas/validator.js'
import { mainFile } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { poll } from '../helpers/poll.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { writeBackupOfFiles } from './backup-of-files.js'

const FILES = 200
const pathnames = Array.from({ length: FILES }, (_, index) => `base/1/f${1000 + index}`)

/** Files of the same size can be taken for each other. */
const contents = new Map(pathnames.map((name, index) => [name, Buffer.alloc(100 + (index % 5), `${name} `)]))

const label = `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-01-02 03:04:05 UTC
LABEL: monday
START TIMELINE: 1
`

const writtenAt = new Date('2026-01-02T03:04:05Z')

let scratch: ScratchDirectory
let backup: string
let state: string

/** Backups for so many tests, which are made before the first, so that they have to grow old only once. */
const TESTS = 11
const made: ScratchDirectory[] = []

beforeAll(async () => {
  for (let count = 0; count < TESTS; count++) {
    scratch = createScratchDirectory()
    made.push(scratch)
    backup = join(scratch.path, 'monday')
    await writeBackupOfFiles(backup, Object.fromEntries(contents))
    // Of whole seconds, which can be given back exactly: then nothing but the time of the change tells of one.
    for (const name of pathnames) utimesSync(join(backup, name), writtenAt, writtenAt)
  }
  await untilOld()
})

beforeEach(() => {
  const next = made.pop()
  if (next === undefined) throw new Error('there are more tests than backups')
  scratch = next
  backup = join(scratch.path, 'monday')
  state = join(scratch.path, 'state')
})

afterEach(() => scratch.remove())

/** Of a file that was changed within the last two seconds there is no evidence. */
async function untilOld(): Promise<void> {
  const { ctimeMs } = statSync(join(backup, 'backup_manifest'))
  await poll('the files are no longer fresh', async () => Date.now() - ctimeMs > 2100)
}

async function verify(...args: readonly string[]): Promise<VerifyReport> {
  const { status, stdout, stderr } = await runCommandLine([
    'verify',
    '-n',
    `--state=${state}`,
    '--output=json',
    ...args,
    backup,
  ])
  expect(stderr).toBe('')
  const report: VerifyReport = JSON.parse(stdout)
  expect(validatorOf('verify-report')(report)).toBeUndefined()
  expect(status).toBe(report.verdict === 'failed' ? 1 : 0)
  return report
}

function evidencePath(): string {
  const [name = ''] = readdirSync(join(state, 'backups'))
  return join(state, 'backups', name, 'evidence')
}

const badPaths = ({ problems }: VerifyReport): string[] => problems.map(({ path = '' }) => path).toSorted()

/** Overwrites a file, and gives it its times back. */
function overwriteQuietly(path: string, content: Buffer): void {
  const { atime, mtime } = statSync(path)
  writeFileSync(path, content)
  utimesSync(path, atime, mtime)
}

describe('verify --max-age', () => {
  test('does not read what is unchanged, and never says that the backup was verified', async () => {
    expect(await verify()).toMatchObject({ verdict: 'verified', filesChecked: FILES + 1 })
    const again = await verify('--max-age=30d')
    expect(again).toMatchObject({
      verdict: 'sampled',
      options: { maxAgeSeconds: 30 * 86_400 },
      filesChecked: 0,
      sample: { rested: { files: FILES + 1 }, left: { files: 0, bytes: 0 } },
    })
    expect(again.notChecked.map(({ what }) => what)).toContain('unchanged-files')
    const text = await runCommandLine(['verify', '-n', `--state=${state}`, '--max-age=30d', backup])
    expect(text).toMatchObject({ status: 0, stderr: '' })
    expect(text.stdout).toMatch(
      /^no problem was found, but not all files were read: 201 are unchanged since they were found good, the first at \d{4}-\S+Z\n0 of 201 files,/,
    )
    const { stdout } = await runCommandLine(['status', `--state=${state}`, '--output=json'])
    expect(JSON.parse(stdout).backups).toMatchObject([
      { lastRun: { verdict: 'sampled', filesRead: 0 }, allReadSince: again.sample?.rested.readSince },
    ])
  })

  test('reads again what was read longer ago, and without it everything is read', async () => {
    await verify()
    expect(await verify('--max-age=0.001s')).toMatchObject({ verdict: 'verified', filesChecked: FILES + 1 })
    expect(await verify()).toMatchObject({ verdict: 'verified', filesChecked: FILES + 1 })
  })

  test('keeps no evidence of what was changed shortly before it was read', async () => {
    const [name = ''] = pathnames
    // By a clock that is ahead of ours, so that it stays fresh however long this takes.
    utimesSync(join(backup, name), new Date(), new Date(Date.now() + 3600_000))
    await verify()
    const again = await verify('--max-age=30d')
    expect(again).toMatchObject({ verdict: 'sampled', filesChecked: 1, sample: { rested: { files: FILES } } })
  })

  test('reads a file that was bad each time, and tells what is missing or too many', async () => {
    await verify()
    const [bad = '', gone = '', large = ''] = pathnames
    overwriteQuietly(join(backup, bad), Buffer.alloc(100, 'x'))
    rmSync(join(backup, gone))
    writeFileSync(join(backup, large), Buffer.alloc(200))
    writeFileSync(join(backup, 'base/1/more'), '')
    const wrong = [bad, gone, large, 'base/1/more'].toSorted()
    for (let run = 0; run < 3; run++) {
      const report = await verify(run === 1 ? '--subset=1/100' : '--max-age=30d')
      expect([report.verdict, badPaths(report)]).toEqual(['failed', wrong])
    }
  })

  test('does not trust a damaged file of evidence, and says so', async () => {
    await verify()
    const bytes = readFileSync(evidencePath())
    for (const damage of [
      (): Buffer => Buffer.from(bytes.map((byte, at) => (at === bytes.length - 60 ? byte ^ 1 : byte))),
      (): Buffer => bytes.subarray(0, bytes.length - 1),
      (): Buffer => Buffer.alloc(0),
    ]) {
      writeFileSync(evidencePath(), damage())
      const { status, stdout, stderr } = await runCommandLine([
        'verify',
        '-n',
        `--state=${state}`,
        '--max-age=30d',
        backup,
      ])
      expect(status).toBe(0)
      expect(stdout).toMatch(/^backup successfully verified\n201 files/)
      expect(stderr).toMatch(
        /^pbmanifest: warning: state file ".*\/evidence" is damaged: .*; no file is passed over by it\n$/,
      )
    }
  })

  test('is of the checks that were made, and of this manifest', async () => {
    // It says that there are no incremental files, so that without page checksums there is nothing in a file to look at.
    await writeBackupOfFiles(backup, { ...Object.fromEntries(contents), backup_label: label })
    await untilOld()
    await verify()
    const more = await verify('--max-age=30d', '--page-checksums=on')
    expect(more).toMatchObject({ filesChecked: FILES + 2 })
    expect(await verify('--max-age=30d')).toMatchObject({ filesChecked: 0 })
    const manifest = join(backup, 'backup_manifest')
    const first = readFileSync(manifest)
    rmSync(manifest)
    await writeBackupOfFiles(join(scratch.path, 'other'), { 'base/1/f1000': 'other' })
    renameSync(join(scratch.path, 'other/backup_manifest'), manifest)
    expect((await verify('--max-age=30d')).verdict).toBe('failed')
    writeFileSync(manifest, first)
    expect(await verify('--max-age=30d')).toMatchObject({ verdict: 'sampled', filesChecked: 0 })
  })
})

describe('verify --subset', () => {
  test('reads each file once in as many nights as the share needs, the oldest first', async () => {
    const nights: VerifyReport[] = []
    for (let night = 0; night < 6; night++) nights.push(await verify('--subset=25%'))
    expect(nights[0]?.options.subset).toBe('25%')
    const left = nights.map(({ sample }) => sample?.left.files ?? -1)
    const read = nights.map(({ filesChecked }) => filesChecked)
    // Nothing is read twice before all was read once, and then a quarter goes on being read.
    expect(left.slice(0, 3)).toEqual(
      [1, 2, 3].map((count) => FILES + 1 - read.slice(0, count).reduce((sum, files) => sum + files, 0)),
    )
    expect(left.slice(3)).toEqual([0, 0, 0])
    expect(Math.min(...read)).toBeGreaterThanOrEqual(50)
    expect(Math.max(...read)).toBeLessThanOrEqual(52)
    expect(nights.every(({ verdict }) => verdict === 'sampled')).toBe(true)
    // The second round begins with what was read first.
    expect(Date.parse(nights[4]?.sample?.rested.readSince ?? '')).toBeGreaterThan(
      Date.parse(nights[3]?.sample?.rested.readSince ?? ''),
    )
    const { stdout } = await runCommandLine(['status', `--state=${state}`, '--output=json'])
    expect(JSON.parse(stdout).backups[0].allReadSince).toBe(nights[5]?.sample?.rested.readSince)
  })

  test('of parts reads the same files each time, and all parts are all files', async () => {
    const first = await verify('--subset=1/3')
    expect(first).toMatchObject({ filesChecked: 67, sample: { rested: { files: 0 }, left: { files: 134 } } })
    expect(await verify('--subset=1/3')).toMatchObject({ filesChecked: 67, sample: { left: { files: 134 } } })
    expect(await verify('--subset=2/3')).toMatchObject({ filesChecked: 67, sample: { left: { files: 67 } } })
    expect(await verify('--subset=3/3')).toMatchObject({
      filesChecked: 67,
      verdict: 'sampled',
      sample: { rested: { files: 134 }, left: { files: 0 } },
    })
  })

  test('of bytes reads no less than so many', async () => {
    const { bytesChecked, filesChecked } = await verify('--subset=2k')
    expect(bytesChecked).toBeGreaterThanOrEqual(2048)
    expect(bytesChecked).toBeLessThan(2048 + 105)
    expect(filesChecked).toBeLessThan(25)
  })
})

/** A generator of numbers that is the same each time. @see https://en.wikipedia.org/wiki/Xorshift */
function seeded(seed: number): (below: number) => number {
  let bits = seed
  return (below) => {
    bits ^= bits << 13
    bits ^= bits >>> 17
    bits ^= bits << 5
    return (bits >>> 0) % below
  }
}

/** Ways to change a file, or to seem to. */
const changes: readonly ((path: string, good: Buffer, other: string, random: number) => void)[] = [
  (path, good, _, random) => writeFileSync(path, damaged(good, random)),
  (path, good, _, random) => overwriteQuietly(path, damaged(good, random)),
  (path, good) => overwriteQuietly(path, good),
  // Another file in its place, of the same size and time.
  (path, good, _, random) => replaceBy(path, damaged(good, random)),
  (path, good) => replaceBy(path, good),
  // By another name of the same file.
  (path, good, _, random) => {
    const link = join(scratch.path, `link-${random}`)
    linkSync(path, link)
    overwriteQuietly(link, damaged(good, random))
    rmSync(link)
  },
  (path, good) => {
    const { atime, mtime } = statSync(path)
    truncateSync(path, 10)
    truncateSync(path, good.length)
    utimesSync(path, atime, mtime)
  },
  (path) => utimesSync(path, new Date(0), new Date(0)),
  (path) => chmodSync(path, 0o640),
  // Two files change places.
  (path, _, other) => {
    const aside = join(scratch.path, 'aside')
    renameSync(path, aside)
    renameSync(other, path)
    renameSync(aside, other)
  },
  // A link to a file elsewhere, good or bad.
  (path, good, _, random) => {
    const target = join(scratch.path, `target-${random}`)
    writeFileSync(target, random % 2 === 0 ? good : damaged(good, random))
    rmSync(path)
    symlinkSync(target, path)
  },
]

function damaged(good: Buffer, random: number): Buffer {
  return Buffer.from(
    good.map((byte, at) => (at === random % good.length ? byte ^ (1 + (random % 255)) : byte)),
  )
}

function replaceBy(path: string, content: Buffer): void {
  const { atime, mtime } = statSync(path)
  const aside = join(scratch.path, 'aside')
  writeFileSync(aside, content)
  utimesSync(aside, atime, mtime)
  renameSync(aside, path)
}

test(
  '1,000 random changes between runs give no better verdict than to read everything',
  { timeout: 240_000 },
  async () => {
    const random = seeded(20_261_127)
    await verify()
    let rested = 0
    for (let run = 0; run < 10; run++) {
      for (let change = 0; change < 100; change++) {
        const [name = '', other = ''] = [pathnames[random(FILES)], pathnames[random(FILES)]]
        const apply = changes[random(changes.length)]
        const number = random(1e9)
        apply?.(join(backup, name), contents.get(name) ?? Buffer.of(), join(backup, other), number)
      }
      const bad = pathnames.filter((name) => !isGood(name)).toSorted()
      const report = await verify(run % 3 === 2 ? '--subset=5%' : '--max-age=30d')
      expect(badPaths(report)).toEqual(bad)
      rested += report.sample?.rested.files ?? 0
    }
    expect(rested).toBeGreaterThan(FILES)
  },
)

function isGood(name: string): boolean {
  return readFileSync(join(backup, name)).equals(contents.get(name) ?? Buffer.of())
}

test('a run that is killed at any moment leaves a state that is right', { timeout: 240_000 }, async () => {
  await verify()
  const [bad = '', good = ''] = pathnames
  overwriteQuietly(join(backup, bad), Buffer.alloc(100, 'x'))
  for (let moment = 0; moment < 8; moment++) {
    const args = ['verify', '-n', `--state=${state}`, '--max-age=30d', backup]
    const child = spawn(process.execPath, [mainFile, ...args], { stdio: 'ignore' })
    const place = join(evidencePath(), '..')
    // At its lock, at the first change of the state, or somewhat later.
    const before = readdirSync(place, { recursive: true }).length
    await poll(
      'the run to get going',
      async () => child.exitCode !== null || readdirSync(place, { recursive: true }).length !== before,
      { interval: 1 },
    )
    for (let spin = 0; spin < moment * 3; spin++) statSync(join(backup, good))
    child.kill('SIGKILL')
    if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
    const { status, stderr } = await runCommandLine([
      'verify',
      '-nq',
      `--state=${state}`,
      '--max-age=30d',
      backup,
    ])
    expect([status, stderr.split('\n')[0]]).toEqual([
      1,
      `pbmanifest: error: checksum mismatch for file "${bad}"`,
    ])
    expect(stderr).not.toContain('damaged')
  }
})
