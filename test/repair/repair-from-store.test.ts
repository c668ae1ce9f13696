import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runCommandLine } from '../cli/run-command-line.js'
import { emptyFile, formatManifest, versionFile } from '../cli/small-backup.js'
import type { ProgramResult } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { BUCKET, type ObjectStore, startStore } from '../helpers/stores/object-store.js'
import { errorAnswer } from '../helpers/stores/store-proxy.js'
import { intactArchives } from '../verify/tar/small-tar-backup.js'

const remote = { path: 'pg_tblspc/16385/PG_15_202209061/5/16390', size: 6, checksum: '2fa33cba' }
const manifest = formatManifest([versionFile, emptyFile, remote])
const formats = ['plain', 'tar'] as const

let store: ObjectStore
let scratch: ScratchDirectory
let target: string
let temporary: string
const before = process.env['TMPDIR']

beforeAll(async () => {
  store = await startStore('fauxqs')
  for (const [name, content] of Object.entries({
    PG_VERSION: '15\n',
    [emptyFile.path]: '',
    [remote.path]: '15\n15\n',
    'standby.signal': '',
    'postgresql.auto.conf': "primary_conninfo = 'host=there'\n",
    backup_manifest: manifest,
  })) {
    await store.put(`plain/${name}`, content)
  }
  for (const [name, bytes] of Object.entries(intactArchives)) await store.put(`tar/${name}`, bytes)
  await store.put('tar/backup_manifest', manifest)
})

beforeEach(async () => {
  scratch = createScratchDirectory()
  target = join(scratch.path, 'data')
  temporary = join(scratch.path, 'tmp')
  await mkdir(temporary)
  process.env['TMPDIR'] = temporary
  const { status, stderr } = await restore('plain')
  if (status !== 0) throw new Error(stderr)
})

afterEach(() => {
  if (before === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = before
  store.proxy.reset()
  const left = readdirSync(temporary)
  scratch.remove()
  if (left.length > 0) throw new Error(`left in TMPDIR: ${left.join()}`)
})

afterAll(async () => store.close())

function restore(place: string, ...args: readonly string[]): Promise<ProgramResult> {
  const address = `s3://${BUCKET}/${place}`
  return runCommandLine(
    ['restore', '--no-parse-wal', '-N', '-q', '-j2', '-D', target, ...args, address],
    store.env,
  )
}

function repair(place: string, ...args: readonly string[]): Promise<ProgramResult> {
  return runCommandLine(
    ['repair', '-n', '-j2', '--from', `s3://${BUCKET}/${place}`, ...args, target],
    store.env,
  )
}

async function damage(): Promise<void> {
  await writeFile(join(target, 'PG_VERSION'), '16\n')
  await writeFile(join(target, remote.path), '15\n')
  await rm(join(target, 'base'), { recursive: true })
}

function contents(): readonly string[] {
  return ['PG_VERSION', remote.path, emptyFile.path].map((name) => readFileSync(join(target, name), 'utf8'))
}

const whole = ['15\n', '15\n15\n', '']

describe.each(formats)('a copy in a store in %s format', (format) => {
  test('has what is missing or damaged, which is told before it is written', async () => {
    await damage()
    const dry = await repair(format)
    expect(dry).toMatchObject({
      status: 1,
      stdout: expect.stringContaining(`would repair file "${remote.path}" (size-mismatch)`),
      stderr: expect.stringContaining('would be repaired'),
    })
    expect(existsSync(join(target, 'base'))).toBe(false)
    const run = await repair(format, '--write', '--output=json')
    expect(run).toMatchObject({ status: 0, stderr: '' })
    expect(JSON.parse(run.stdout)).toMatchObject({
      verdict: 'verified',
      copy: { directory: `s3://${BUCKET}/${format}`, backup: 'same' },
      problems: [],
      bytesWritten: 9,
    })
    expect(contents()).toEqual(whole)
  })

  test('gives the manifest when told to, and a file that is in the way of none stays and is named', async () => {
    await damage()
    await rm(join(target, 'backup_manifest'))
    await writeFile(join(target, 'precious'), '')
    const without = await repair(format, '--write')
    expect(without).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('Use --manifest-from-copy to trust'),
    })
    const run = await repair(format, '--write', '--manifest-from-copy')
    expect(run).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('"precious" is present on disk but not in the manifest'),
    })
    expect([readFileSync(join(target, 'backup_manifest'), 'utf8'), ...contents()]).toEqual([
      manifest,
      ...whole,
    ])
  })

  test('has what a restore that was ended has not, and that is gone on with', async () => {
    await damage()
    await rm(join(target, 'backup_manifest'))
    await writeFile(join(target, 'pbmanifest.unfinished'), '{}')
    store.proxy.requests.length = 0
    expect(await restore(format, '--only-missing')).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(store.proxy.requests.filter(({ url }) => url.includes('list-type=2'))).toHaveLength(1)
    expect([readFileSync(join(target, 'backup_manifest'), 'utf8'), ...contents()]).toEqual([
      manifest,
      ...whole,
    ])
    expect(readdirSync(target).filter((name) => /unfinished|manifest.tmp/.test(name))).toEqual([])
  })
})

test('files that no manifest lists are written to their end, too, and are left when nothing was ended', async () => {
  const conf = join(target, 'postgresql.auto.conf')
  await writeFile(conf, 'primary_conn')
  await rm(join(target, 'standby.signal'))
  expect(await restore('plain', '--only-missing')).toMatchObject({ status: 0 })
  expect([readFileSync(conf, 'utf8'), existsSync(join(target, 'standby.signal'))]).toEqual([
    'primary_conn',
    true,
  ])
  await writeFile(join(target, 'pbmanifest.unfinished'), '{}')
  expect(await restore('plain', '--only-missing')).toMatchObject({ status: 0 })
  expect(readFileSync(conf, 'utf8')).toBe("primary_conninfo = 'host=there'\n")
})

test('a directory with another backup, or with a cluster, is not gone on with, and nothing is written', async () => {
  const other = formatManifest([versionFile], { start: '0/4000028', end: '0/4000100' })
  await writeFile(join(target, 'PG_VERSION'), '14\n')
  await writeFile(join(target, 'backup_manifest'), other)
  expect(await restore('plain', '--only-missing')).toMatchObject({
    status: 5,
    stderr: expect.stringContaining(`"${target}" holds another backup, by its backup_manifest`),
  })
  await rm(join(target, 'backup_manifest'))
  await writeFile(join(target, 'postmaster.opts'), '')
  expect(await restore('plain', '--only-missing')).toMatchObject({
    status: 5,
    stderr: expect.stringContaining('a server has run in'),
  })
  expect(readFileSync(join(target, 'PG_VERSION'), 'utf8')).toBe('14\n')
  expect(existsSync(join(target, 'backup_manifest.tmp'))).toBe(false)
})

test('a file that is damaged on its way, or cannot be had, is left as it is, and the others are repaired', async () => {
  await damage()
  store.proxy.at = ({ url }) => {
    if (url.endsWith('/PG_VERSION')) return { type: 'flip', at: 0 }
    return url.endsWith('/16390') ? errorAnswer(403, 'InvalidObjectState') : undefined
  }
  const { status, stdout, stderr } = await repair('plain', '--write')
  expect([status, stdout]).toEqual([
    1,
    expect.stringContaining(`repaired file "${emptyFile.path}" (missing)`),
  ])
  expect(stderr).toContain('checksum mismatch for file "PG_VERSION" of the copy, too')
  expect(stderr).toContain(
    `could not read "${remote.path}" of the copy: the object is in an archive tier and cannot be read`,
  )
  expect(contents()).toEqual(['16\n', '15\n', ''])
})

test('a store that is lost in the middle is an error, and a file is the old one or the good one', async () => {
  await damage()
  store.proxy.at = ({ url }) =>
    url.endsWith('/16390') ? errorAnswer(403, 'SignatureDoesNotMatch') : undefined
  const run = await repair('plain', '--write', '-j1')
  expect(run).toMatchObject({
    status: 5,
    stderr: expect.stringContaining(`could not read "s3://${BUCKET}/plain": the signature is not right`),
  })
  expect(['15\n', '16\n']).toContain(readFileSync(join(target, 'PG_VERSION'), 'utf8'))
  expect(readFileSync(join(target, remote.path), 'utf8')).toBe('15\n')
  expect(readdirSync(target).filter((name) => name.includes('pbmanifest'))).toEqual([])
})

test('objects that are not there, and options that fit no store, are refused', async () => {
  for (const [args, status, message] of [
    [['--from', `s3://${BUCKET}/none`], 5, `there are no objects below "s3://${BUCKET}/none"`],
    [['--from', 's3://nowhere-at-all/x'], 5, 'the bucket does not exist'],
    [['--from', 's3://'], 2, 'invalid address "s3://"'],
    [['--from', target, '--endpoint-url', 'https://x'], 2, '--endpoint-url is for use with s3://'],
  ] as const) {
    const run = await runCommandLine(['repair', '-n', ...args, target], store.env)
    expect(run).toMatchObject({ status, stderr: expect.stringContaining(message) })
  }
})
