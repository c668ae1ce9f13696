import { spawn } from 'node:child_process'
import {
  copyFile,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { verifyBackup, type VerifyOptions, type VerifyProgress, type VerifyReport } from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { mainFile, pbmanifest } from '../cli/pbmanifest.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup, writeTree } from '../cli/small-backup.js'
import { type BackupCopy, copyBackup } from '../helpers/copy-backup.js'
import { oddPathnames } from '../helpers/odd-files.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun, runProgram } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import {
  addFile,
  flipBit,
  listedFiles,
  makeFifo,
  removeFile,
  replaceBy,
  resize,
  walSegments,
} from './damage.js'
import { sameForAnyJobs, type WhatWasFound } from './same-for-any-jobs.js'
import { ownTree, pbmanifestWithoutPrivileges } from './run-without-privileges.js'

const packageRoot = dirname(createRequire(import.meta.url).resolve('pbmanifest/package.json'))

function withoutHow(report: VerifyReport): WhatWasFound {
  expect(report.seconds.total).toBeGreaterThan(0)
  expect(Object.keys(report.engines)).toEqual(['CRC32C'])
  return sameForAnyJobs(report)
}

describeWithDebianPostgres('a real backup', (programs) => {
  let backup: BackupCopy

  beforeEach(async () => {
    backup = await copyBackup(await realBackup(programs))
  })

  afterEach(() => backup.remove())

  async function damageMuch(): Promise<void> {
    const statements = ['global/pg_control', 'backup_label']
    for (const pathname of statements) await flipBit(backup, pathname, 6)
    const files = (await listedFiles(backup)).filter(({ pathname }) => !statements.includes(pathname))
    for (const [index, { pathname, size }] of files.entries()) {
      if (index % 7 === 0 && size > 0) await flipBit(backup, pathname)
      if (index % 50 === 1) await removeFile(backup, pathname)
      if (index % 50 === 2) await resize(backup, pathname, () => size + 1)
      if (index % 50 === 3) await replaceBy(backup, pathname, makeFifo)
      if (index % 50 === 4) await replaceBy(backup, pathname, (path) => symlink('nowhere', path))
      if (index % 50 === 5) await addFile(backup, `${pathname}.extra`)
    }
    await addFile(backup, 'base/1/PG_VERSION', '16\n')
    for (const name of await walSegments(backup)) await removeFile(backup, `pg_wal/${name}`)
    const names = await readdir(backup.directory, { encoding: 'buffer' })
    for (const name of names.filter((bytes) => bytes.toString().includes('odd'))) {
      const path = Buffer.concat([Buffer.from(`${backup.directory}/`), name])
      if ((await stat(path)).isFile()) await writeFile(path, 'x')
    }
  }

  test('is told about in the same report for every number of jobs', async () => {
    await damageMuch()
    const told: string[][] = []
    const reports: VerifyReport[] = []
    for (const jobs of [1, 2, 8]) {
      const messages: string[] = []
      told.push(messages)
      reports.push(
        await verifyBackup(backup.directory, { jobs, onProblem: ({ message }) => messages.push(message) }),
      )
    }
    const [one, two, eight] = reports.map(withoutHow)
    expect(one?.problems.length).toBeGreaterThan(200)
    expect(new Set(one?.problems.map(({ kind }) => kind))).toEqual(
      new Set([
        'missing',
        'extra',
        'not-a-file',
        'size-mismatch',
        'unreadable',
        'checksum-mismatch',
        'control-file',
        'backup-label',
        'wal-missing',
      ]),
    )
    expect(two).toEqual(one)
    expect(eight).toEqual(one)
    expect(told).toEqual(reports.map(({ problems }) => problems.map(({ message }) => message)))
  })

  test('is told about in a report that fits its schema, also as JSON', async () => {
    await damageMuch()
    const report = await verifyBackup(backup.directory)
    const json = JSON.stringify(report)
    const validate = validatorOf('verify-report')
    expect(validate(report)).toBeUndefined()
    expect(validate(JSON.parse(json))).toBeUndefined()
    expect(json.isWellFormed()).toBe(true)
    const encoded = report.problems.flatMap(({ encodedPath }) => encodedPath ?? [])
    const notText = oddPathnames.filter((name) => !Buffer.from(name.toString()).equals(name))
    expect(encoded.toSorted()).toEqual(notText.map((name) => name.toString('hex')).toSorted())
  })

  test('stops at the same first problem for every number of jobs', async () => {
    const damaged = (await listedFiles(backup)).filter(
      ({ pathname, size }) => pathname.startsWith('base/') && size > 0,
    )
    for (const { pathname } of damaged.slice(0, 100)) await flipBit(backup, pathname)
    const reports = []
    for (const jobs of [1, 2, 8]) {
      reports.push(withoutHow(await verifyBackup(backup.directory, { jobs, exitOnError: true })))
    }
    const [one] = reports
    expect(one).toMatchObject({ verdict: 'failed', problems: [{ kind: 'checksum-mismatch' }] })
    expect(one?.notChecked).toContainEqual(expect.objectContaining({ what: 'after-first-problem' }))
    expect(reports).toEqual([one, one, one])
  })

  test('has progress that never goes back and ends at the total', async () => {
    const steps: VerifyProgress[] = []
    const report = await verifyBackup(backup.directory, { jobs: 2, onProgress: (step) => steps.push(step) })
    expect(report.verdict).toBe('verified')
    const done = steps.map(({ bytesDone }) => bytesDone)
    expect(done).toEqual(done.toSorted((left, right) => left - right))
    expect(steps[0]?.bytesDone).toBe(0)
    expect(steps.at(-1)).toEqual({ bytesDone: report.bytesChecked, bytesTotal: report.bytesChecked })
    expect(new Set(steps.map(({ bytesTotal }) => bytesTotal)).size).toBe(1)
  })

  test.each([{ options: ['-j', '1'] }, { options: ['-j', '8'] }, { options: ['-s', '-n'] }])(
    'is not written to with options $options',
    async ({ options }) => {
      ownTree(backup.root)
      await makeOld(backup.root)
      await mustRun('chmod', ['-R', 'a-w', backup.root])
      const before = await timesOf(backup.root)
      const { status, stderr } = await pbmanifestWithoutPrivileges(['verify', ...options, backup.directory])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(await timesOf(backup.root)).toEqual(before)
    },
  )

  test('has files in pg_wal that no WAL range needs, which are named', async () => {
    const needed = await walSegments(backup)
    const others = ['00000001000000000000FF00', `${needed[0]}.partial`, '00000002.history']
    const wal = join(backup.directory, 'pg_wal')
    for (const name of others) await copyFile(join(wal, needed[0] ?? ''), join(wal, name))
    const report = await verifyBackup(backup.directory)
    expect(report).toMatchObject({ verdict: 'verified', warnings: [] })
    expect(otherWalFiles(report)).toEqual(others.map((name) => `pg_wal/${name}`).toSorted())
    const elsewhere = join(backup.root, 'wal')
    await cp(wal, elsewhere, { recursive: true })
    expect(otherWalFiles(await verifyBackup(backup.directory, { walDirectory: elsewhere }))).toEqual(
      [...others, ...needed].map((name) => `pg_wal/${name}`).toSorted(),
    )
    expect(otherWalFiles(await verifyBackup(backup.directory, { walDirectory: wal }))).toHaveLength(
      others.length,
    )
  })

  test('may lose files meanwhile', async () => {
    const pathnames = (await listedFiles(backup)).map(({ pathname }) => pathname)
    const remover = spawn('rm', ['-rf', join(backup.directory, 'base')])
    const hasEnded = new Promise((resolve) => remover.on('close', resolve))
    const { problems } = await verifyBackup(backup.directory)
    await hasEnded
    const others = problems.filter(({ path = '' }) => !path.startsWith('base'))
    expect(others).toEqual([])
    const after = await verifyBackup(backup.directory)
    expect(after.problems.length).toBe(pathnames.filter((name) => name.startsWith('base/')).length)
  })
})

function otherWalFiles({ notChecked }: VerifyReport): readonly string[] | undefined {
  return notChecked.find(({ what }) => what === 'other-wal-files')?.paths
}

/** Sets all times so far back that any look into a file would be seen, also where the system keeps only some of them. */
async function makeOld(root: string): Promise<void> {
  for (const path of await treeOf(root)) await utimes(path, 1_000_000_000, 1_500_000_000)
}

/** What writing would change; of files also the time of the last look into them. */
async function timesOf(root: string): Promise<Map<string, unknown>> {
  const times = new Map<string, unknown>()
  for (const path of await treeOf(root)) {
    const stats = await stat(path, { bigint: true })
    const { atimeNs, ctimeNs, ino, mode, mtimeNs, size } = stats
    times.set(path.toString('latin1'), {
      mtimeNs,
      ctimeNs,
      ino,
      mode,
      size,
      ...(stats.isFile() && { atimeNs }),
    })
  }
  return times
}

/** The files and directories of a tree. */
async function treeOf(root: string): Promise<Buffer[]> {
  const paths = [Buffer.from(root)]
  for (const path of paths) {
    if (!(await lstat(path)).isDirectory()) continue
    const names = await readdir(path, { encoding: 'buffer' })
    paths.push(...names.map((name) => Buffer.concat([path, Buffer.from('/'), name])))
  }
  const stats = await Promise.all(paths.map((path) => lstat(path)))
  return paths.filter((_, index) => stats[index]?.isSymbolicLink() === false)
}

describe('a small backup', () => {
  let scratch: ScratchDirectory
  let directory: string

  beforeEach(async () => {
    scratch = createScratchDirectory()
    directory = await writeSmallBackup(scratch.path)
  })

  afterEach(() => scratch.remove())

  const noWal: VerifyOptions = { noParseWal: true }

  test('verifies', async () => {
    const report = await verifyBackup(directory, noWal)
    expect(report).toMatchObject({ verdict: 'verified', problems: [], filesChecked: 2, bytesChecked: 3 })
  })

  test.each([[['*']], [['base', 'PG_VERSION']]])(
    'is verified in part at best when %j is ignored: nothing was compared',
    async (ignore) => {
      const report = await verifyBackup(directory, { ...noWal, ignore })
      expect(report).toMatchObject({ verdict: 'partial', problems: [], filesChecked: 0 })
      expect(
        await pbmanifest(['verify', '-n', ...ignore.map((rule) => `-i${rule}`), directory]),
      ).toMatchObject({
        status: 7,
        stdout: '',
        stderr: expect.not.stringContaining('successfully'),
      })
    },
  )

  test('verifies with more jobs than files', async () => {
    expect(await verifyBackup(directory, { ...noWal, jobs: 64 })).toMatchObject({ verdict: 'verified' })
  })

  test.each([0, -1, 1.5, Number.NaN])('is not verified by %d jobs', async (jobs) => {
    await expect(verifyBackup(directory, { jobs })).rejects.toMatchObject({ code: 'USAGE' })
  })

  const version = 'PG_VERSION'

  test('passes on what its callers throw, with no thread left', async () => {
    await writeFile(join(directory, version), '16\n')
    const options = `{ noParseWal: true, onProblem: () => { throw new TypeError('caller') } }`
    expect(await rejectionOf(directory, options)).toBe('TypeError: caller')
  })

  test('of which nothing is known but the manifest says what is missing', async () => {
    await rm(join(directory, version))
    await rm(join(directory, 'base'), { recursive: true })
    const report = await verifyBackup(directory, noWal)
    expect(report.problems.map(({ kind, path }) => [kind, path])).toEqual([
      ['missing', 'PG_VERSION'],
      ['missing', 'base/1/16384'],
    ])
  })

  describe('with a file that takes long to read', () => {
    const size = 20 * 1024 ** 3
    const large = { path: 'base/1/16385', size, checksum: '00000000' }

    beforeEach(async () => {
      await writeTree(directory, {
        backup_manifest: formatManifest([versionFile, emptyFile, large]),
        [large.path]: '',
      })
      await truncate(join(directory, large.path), size)
    })

    test.each([
      { when: 'before it is read', bytes: 0 },
      { when: 'while it is read', bytes: 10 ** 7 },
    ])('is left when its signal fires $when, with no thread left', async ({ bytes }) => {
      const onProgress = `({ bytesDone }) => { if (bytesDone >= ${bytes}) abort.abort() }`
      const options = `{ jobs: 2, noParseWal: true, signal: abort.signal, onProgress: ${onProgress} }`
      expect(await rejectionOf(directory, options)).toBe('ABORTED: aborted')
    })
  })

  test('is not begun when its signal has fired', async () => {
    const signal = AbortSignal.abort()
    await expect(verifyBackup(directory, { signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('fails with the reason when its threads die', async () => {
    const installation = join(scratch.path, 'installation')
    await copyInstallation(installation)
    const main = join(installation, 'dist/program/main.js')
    const args = [main, 'verify', '-n', '-j', '2', directory]
    expect(await runProgram(process.execPath, args)).toMatchObject({ status: 0 })
    await rm(join(installation, 'dist/program/checksum-worker.js'))
    const { status, stderr } = await runProgram(process.execPath, args)
    expect(stderr).toMatch(
      /^pbmanifest: error: a worker thread failed: Cannot find module .*checksum-worker\.js/,
    )
    expect(status).toBe(5)
  })
})

/**
 * How a verification fails in a process of its own. That ends by itself only when no thread is left, so a test that
 * leaves one does not end either.
 */
async function rejectionOf(directory: string, options: string): Promise<string> {
  const program = `
    import { verifyBackup } from 'pbmanifest'
    const abort = new AbortController()
    await verifyBackup(process.argv[1], ${options}).then(
      ({ verdict }) => console.log(verdict),
      (error) => console.log((error.code ?? error.name) + ': ' + error.message),
    )`
  const args = ['--input-type=module', '--eval', program, directory]
  const { stdout, stderr } = await runProgram(process.execPath, args, { cwd: packageRoot })
  return `${stdout}${stderr}`.trim()
}

/** A copy of the built package that may be damaged. */
async function copyInstallation(target: string): Promise<void> {
  await mkdir(target)
  await cp(dirname(dirname(mainFile)), join(target, 'dist'), { recursive: true })
  await cp(join(packageRoot, 'schemas'), join(target, 'schemas'), { recursive: true })
  await writeFile(join(target, 'package.json'), await readFile(join(packageRoot, 'package.json')))
  await symlink(join(packageRoot, 'node_modules'), join(target, 'node_modules'))
}

test('a directory that is not there is an error', async () => {
  await expect(verifyBackup('/nowhere/at/all')).rejects.toMatchObject({
    code: 'IO',
    message: 'could not open file "/nowhere/at/all/backup_manifest": No such file or directory',
  })
})
