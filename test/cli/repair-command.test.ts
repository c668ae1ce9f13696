import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020, type Schema } from 'ajv/dist/2020.js'
import type { RepairReport } from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeNeededDirectories } from '../helpers/needed-directories.js'
import { poll } from '../helpers/poll.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { mainFile, pbmanifest } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { writeTree } from './small-backup.js'

const mebibyte = 1024 * 1024
const large = 'base/1/16385'
const files = { PG_VERSION: '15\n', 'base/1/16384': '', 'base/1/16386': 'some content' }

let scratch: ScratchDirectory
let backup: string
let copy: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = join(scratch.path, 'backup')
  copy = join(scratch.path, 'copy')
  await makeNeededDirectories(backup)
  await writeTree(backup, { ...files, backup_manifest: manifestOf(Object.entries(files).map(entryOf)) })
  await cp(backup, copy, { recursive: true })
})

afterEach(() => scratch.remove())

function entryOf([path, content]: [string, string | Buffer]): string {
  const checksum = createHash('sha256').update(content).digest('hex')
  const digest = `"Checksum-Algorithm": "SHA256", "Checksum": "${checksum}"`
  return `{ "Path": "${path}", "Size": ${content.length}, "Last-Modified": "2026-01-02 03:04:05 GMT", ${digest} }`
}

function withoutChecksum(path: string, size: number): string {
  return `{ "Path": "${path}", "Size": ${size}, "Last-Modified": "2026-01-02 03:04:05 GMT" }`
}

function manifestOf(entries: readonly string[]): string {
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
${entries.join(',\n')}
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
],
`
  return `${body}"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`
}

const argumentsWith = (...args: readonly string[]): string[] => [
  'repair',
  '-n',
  '--from',
  copy,
  ...args,
  backup,
]

function repair(...args: readonly string[]): ReturnType<typeof pbmanifest> {
  return runCommandLine(argumentsWith(...args))
}

async function repairReport(...args: readonly string[]): Promise<RepairReport> {
  const { stdout } = await repair('--output=json', ...args)
  const [own, verify] = ['repair-report', 'verify-report'].map(
    (name) =>
      JSON.parse(
        readFileSync(new URL(`../../schemas/${name}.schema.json`, import.meta.url), 'utf8'),
      ) as Schema,
  )
  const report: unknown = JSON.parse(stdout)
  const validate = new Ajv2020({ schemas: [verify ?? {}], strictTypes: false, strictRequired: false })
  expect(validate.validate(own ?? {}, report)).toBe(true)
  return report as RepairReport
}

/** Gives backup and copy a manifest of these entries as well. */
async function addToManifests(...entries: readonly string[]): Promise<void> {
  const text = manifestOf([...Object.entries(files).map(entryOf), ...entries])
  for (const directory of [backup, copy]) await writeFile(join(directory, 'backup_manifest'), text)
}

function leftovers(directory: string = join(backup, 'base/1')): string[] {
  return readdirSync(directory).filter((name) => name.endsWith('.pbmanifest-repair'))
}

describe('pbmanifest repair', () => {
  test('says what it would do, and does nothing, unless told to write', async () => {
    await writeFile(join(backup, 'base/1/16386'), 'SOME CONTENT')
    await rm(join(backup, 'PG_VERSION'))
    expect(await pbmanifest(argumentsWith())).toEqual({
      status: 1,
      stdout:
        'would repair file "PG_VERSION" (missing)\nwould repair file "base/1/16386" (checksum-mismatch)\n',
      stderr: expect.stringMatching(
        /^pbmanifest: 2 things would be repaired, in .*; nothing was changed\n.*\npbmanifest: hint: Use --write/,
      ),
    })
    expect(readFileSync(join(backup, 'base/1/16386'), 'utf8')).toBe('SOME CONTENT')
    expect(await pbmanifest(argumentsWith('--write'))).toEqual({
      status: 0,
      stdout: expect.stringMatching(
        /^repaired file "PG_VERSION" \(missing\)\nrepaired .*\nbackup successfully verified\n2 things repaired, 15 bytes written/,
      ),
      stderr: '',
    })
    expect(readFileSync(join(backup, 'base/1/16386'), 'utf8')).toBe('some content')
    expect(await repair('-q')).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('shows progress, a line for the end of each step', async () => {
    await rm(join(backup, 'PG_VERSION'))
    const { stderr } = await repair('--write', '-P')
    expect(stderr.match(/verified again|verified|repaired/g)).toEqual(
      expect.arrayContaining(['verified', 'repaired', 'verified again']),
    )
  })

  test('gives a report by its schema', async () => {
    await rm(join(backup, 'PG_VERSION'))
    await rm(join(copy, 'PG_VERSION'))
    await writeFile(join(backup, 'extra'), '')
    expect(await repairReport('--write')).toMatchObject({
      verdict: 'failed',
      isDryRun: false,
      copy: { directory: copy, backup: 'same' },
      items: [{ what: 'file', path: 'PG_VERSION', problem: 'missing', outcome: 'not-repaired' }],
      problems: [{ kind: 'extra' }, { kind: 'missing' }],
    })
    expect(existsSync(join(backup, 'extra'))).toBe(true)
    await writeFile(join(copy, 'PG_VERSION'), files.PG_VERSION)
    await rm(join(backup, 'extra'))
    expect(await repairReport()).toMatchObject({ verdict: 'repairable', isDryRun: true, problems: [] })
    expect(await repairReport('--write')).toMatchObject({ verdict: 'verified', bytesWritten: 3 })
  })

  test.each<[readonly string[], string]>([
    [['backup'], 'no copy specified'],
    [['--from', 'x'], 'no backup directory specified'],
    [['--from', 'x', '--write', '--dry-run', 'y'], 'cannot specify both --write and --dry-run'],
    [['--from', 'x', '-Pq', 'y'], 'cannot specify both -P/--progress and -q/--quiet'],
    [
      ['--from', 'x', '--manifest-from-copy', '-m', 'm', 'y'],
      'cannot specify both --manifest-from-copy and -m',
    ],
    [['--from', 'x', '-I', 'me', 'y'], '--signer-identity is for use with --allowed-signers'],
    [
      ['--from', 'x', '-T', '16384=relative', 'y'],
      'invalid value "16384=relative" for option -T/--tablespace',
    ],
    [['--from', 'x', '-T', 'fast=/fast', 'y'], 'invalid value "fast=/fast"'],
  ])('refuses %j', async (args, message) => {
    const { status, stdout, stderr } = await runCommandLine(['repair', ...args])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(message)
  })

  test('refuses directories that cannot be repaired, or from', async () => {
    expect(await runCommandLine(['repair', '--from', backup, backup])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('is the backup itself, and no copy of it'),
    })
    expect(await runCommandLine(['repair', '--from', join(copy, 'none'), backup])).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('No such file or directory'),
    })
    expect(await runCommandLine(['repair', '--from', join(copy, 'PG_VERSION'), backup])).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('Not a directory'),
    })
    const tar = join(scratch.path, 'tar')
    await writeTree(tar, { 'base.tar': '' })
    expect(await runCommandLine(['repair', '--from', backup, tar])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('is in tar format'),
    })
    await writeFile(join(backup, 'postmaster.pid'), '1\n')
    expect(await repair('--write')).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('hint: Is a server running in it?'),
    })
    await rm(join(backup, 'postmaster.pid'))
    await writeFile(join(backup, 'postmaster.opts'), 'postgres\n')
    await writeFile(join(backup, 'base/1/16386'), 'written since')
    expect(await repair('--write')).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('hint: It is a cluster and no backup any more'),
    })
    expect(readFileSync(join(backup, 'base/1/16386'), 'utf8')).toBe('written since')
  })

  test('takes the place of a link, and leaves alone what it leads to', async () => {
    const elsewhere = join(scratch.path, 'elsewhere')
    await writeFile(elsewhere, 'of somebody')
    await rm(join(backup, 'base/1/16386'))
    await symlink(elsewhere, join(backup, 'base/1/16386'))
    expect(await repair('--write')).toMatchObject({ status: 0 })
    expect(lstatSync(join(backup, 'base/1/16386')).isFile()).toBe(true)
    expect(readFileSync(elsewhere, 'utf8')).toBe('of somebody')
  })

  test('writes through no link of a directory', async () => {
    const elsewhere = join(scratch.path, 'elsewhere')
    await rm(join(backup, 'base/1'), { recursive: true })
    await mkdir(elsewhere)
    await symlink(elsewhere, join(backup, 'base/1'))
    const { status, stderr } = await repair('--write')
    expect(status).toBe(1)
    expect(stderr).toContain('"base/1" is a symbolic link, and nothing is written through it')
    expect(readdirSync(elsewhere)).toEqual([])
  })

  test('makes room only where nothing is lost', async () => {
    await rm(join(backup, 'base/1/16386'))
    await mkdir(join(backup, 'base/1/16386'))
    expect(await repair('--write')).toMatchObject({ status: 0 })
    await rm(join(backup, 'base/1/16386'))
    await writeTree(backup, { 'base/1/16386/notes': 'mine' })
    const full = await repair('--write')
    expect(full).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('is a directory that is not empty'),
    })
    await rm(join(backup, 'base'), { recursive: true })
    await writeFile(join(backup, 'base'), 'mine')
    const file = await repair('--write')
    expect(file).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('"base" is a file where a directory'),
    })
    expect(readFileSync(join(backup, 'base'), 'utf8')).toBe('mine')
  })

  test('takes no file by its size alone, unless told to or it is empty', async () => {
    await addToManifests(withoutChecksum('base/1/1', 4), withoutChecksum('base/1/2', 0))
    await writeTree(copy, { 'base/1/1': 'four', 'base/1/2': '' })
    const { status, stdout, stderr } = await repair('--write')
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'repaired file "base/1/2" (missing)\n' })
    expect(stderr).toContain('the manifest has no checksum for "base/1/1"')
    expect(await repair('--write', '--trust-size')).toMatchObject({ status: 0 })
  })

  test('takes the manifest of the copy only when told to', async () => {
    await truncate(join(backup, 'backup_manifest'), 100)
    await rm(join(backup, 'PG_VERSION'))
    expect(await repair('--write')).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('hint: Use --manifest-from-copy'),
    })
    const { status, stdout, stderr } = await repair('--write', '--manifest-from-copy')
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('repaired manifest "backup_manifest"\nbackup successfully verified'),
    })
    expect(stderr).toContain('warning: the manifest is that of the copy')
    expect(await repair()).toMatchObject({ status: 0, stderr: '' })
  })

  test('repairs nothing by a manifest that is not signed, where it has to be', async () => {
    const signers = join(scratch.path, 'signers')
    const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIAkXdS3e9Zp8TT1wLSwEbPQhqIlKcVfKb1R5kI3fCSxv'
    await writeFile(signers, `me@example.com ssh-ed25519 ${key}\n`)
    await rm(join(backup, 'PG_VERSION'))
    const { status, stderr } = await repair('--write', '--allowed-signers', signers)
    expect(status).toBe(1)
    expect(stderr).toContain('the backup manifest is not signed')
    expect(existsSync(join(backup, 'PG_VERSION'))).toBe(false)
  })

  test('says when the copy is of another backup, and takes what fits', async () => {
    await writeFile(join(copy, 'backup_manifest'), manifestOf([entryOf(['PG_VERSION', '15\n'])]))
    await rm(join(backup, 'PG_VERSION'))
    const { status, stderr } = await repair('--write')
    expect(status).toBe(0)
    expect(stderr).toBe(
      `pbmanifest: warning: the copy in "${copy}" is of another backup; only what fits the manifest is taken\n`,
    )
  })

  test('says when the disk is full, and leaves no temporary file', async (context) => {
    const disk = join(scratch.path, 'disk')
    const unmount = mountSmallDisk(disk, 'size=2m')
    try {
      if (unmount === undefined) context.skip('a file system cannot be mounted here')
      const content = Buffer.alloc(4 * mebibyte, 'x')
      await addToManifests(entryOf([large, content]))
      await writeFile(join(copy, large), content)
      await cp(backup, join(disk, 'backup'), { recursive: true })
      backup = join(disk, 'backup')
      const { status, stderr } = await repair('--write')
      expect(status).toBe(5)
      expect(stderr).toContain(`could not write file "${large}": No space left on device`)
      expect(leftovers()).toEqual([])
    } finally {
      unmount?.()
    }
  })

  test('leaves the old file when it is killed, and the next one removes what it left', async () => {
    await makeLarge()
    await writeFile(join(backup, large), 'damaged')
    await signalWhileWriting('SIGKILL')
    expect(leftovers()).toHaveLength(1)
    expect(readFileSync(join(backup, large), 'utf8')).toBe('damaged')
    expect(await repair('--write')).toMatchObject({ status: 0 })
    expect(leftovers()).toEqual([])
    await mustRun('cmp', [join(copy, large), join(backup, large)])
  })

  test('stops when it is told to, and leaves no temporary file', async () => {
    await makeLarge()
    expect(await signalWhileWriting('SIGTERM')).toBe(143)
    expect(leftovers()).toEqual([])
  })
})

async function makeLarge(): Promise<void> {
  const content = Buffer.alloc(128 * mebibyte, 'x')
  await addToManifests(entryOf([large, content]))
  await writeFile(join(copy, large), content)
}

/** Runs a repair until it writes; once more when it was too quick for us. Returns its exit status. */
async function signalWhileWriting(signal: NodeJS.Signals): Promise<number | null> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const args = [mainFile, 'repair', '-n', '--write', '--from', copy, backup]
    const child = spawn(process.execPath, args, { stdio: 'ignore' })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    const isWriting = (): boolean => leftovers().length > 0
    const isOver = (): boolean => child.exitCode !== null
    await poll('the repair to write', async () => await Promise.resolve(isWriting() || isOver()), {
      interval: 1,
    })
    child.kill(signal)
    const status = await ended
    if (status !== 0 && (signal !== 'SIGKILL' || isWriting())) return status
    await writeFile(join(backup, large), 'damaged')
  }
  throw new Error('the repair was always too quick')
}
