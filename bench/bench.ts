import { execFileSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { crc32cEngines } from '../src/manifest/checksum/crc32c-engines.js'
import { benchAgent } from './bench-agent.js'
import { type BackupBench, backupCases } from './bench-backup.js'
import { makeBackup } from './make-backup.js'
import { makeWal } from './make-wal.js'
import { makeFragment, makeManifest } from './make-manifest.js'
import { compare, describe, type Subject } from './measure.js'

/**
 * pbmanifest beside pg_verifybackup, in turn on the same machine: `npm run bench -- --help`.
 * How to read it, and figures: docs/performance.md.
 */

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    backup: { type: 'string' },
    bytes: { type: 'string', default: '3.8e9' },
    files: { type: 'string', default: '60000' },
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '70' },
    only: { type: 'string', default: '' },
    wal: { type: 'string' },
    'wal-bytes': { type: 'string', default: '1e9' },
  },
})

const usage = `npm run bench -- [--backup=DIR] [--bytes=3.8e9] [--files=60000] [--rounds=5] [--scale=70] [--only=CASE,...]
                   [--wal=DIR] [--wal-bytes=1e9]
  --backup  a backup in plain format with a CRC32C manifest of version 1; default: one is made
  --wal     where WAL is kept for later runs, or was kept by an earlier one
  --scale   of pgbench, for the cases of backup: 15 MB each
  cases: engines many jobs sha256 large million merge cold pages wal backup backup-link backup-rate backup-memory agent
`

const cli = fileURLToPath(new URL('../../dist/program/main.js', import.meta.url))
const peer = '/usr/lib/postgresql/15/bin/pg_verifybackup'
const walPeer = '/usr/lib/postgresql/15/bin/pg_waldump'
const rounds = Number(values.rounds)
const scratch = mkdtempSync(join(tmpdir(), 'pbmanifest-bench-'))
const print = (line: string): void => void process.stdout.write(`${line}\n`)
const nothing = (): void => {}

const cases: Readonly<Record<string, () => Promise<void>>> = {
  engines: benchEngines,
  many: async () => table('CRC32C, many files', await backupDirectory(), []),
  jobs: benchJobs,
  sha256: benchSha256,
  large: benchLargeFiles,
  million: benchMillion,
  merge: benchMerge,
  cold: benchCold,
  pages: benchPages,
  wal: benchWal,
  agent: () => benchAgent(backupBench()),
  ...Object.fromEntries(Object.entries(backupCases).map(([name, run]) => [name, () => run(backupBench())])),
}

function backupBench(): BackupBench {
  return { scratch, cli, rounds, scale: Number(values.scale), print }
}

let madeBackup: Promise<string> | undefined

function backupDirectory(): Promise<string> {
  madeBackup ??= values.backup === undefined ? makeDefaultBackup() : Promise.resolve(values.backup)
  return madeBackup
}

async function makeDefaultBackup(): Promise<string> {
  process.stderr.write('making a backup; this takes a minute\n')
  const shape = { files: Number(values.files), bytes: Number(values.bytes), checksumAlgorithm: 'CRC32C' }
  return (await makeBackup(shape)).directory
}

function ours(...args: readonly string[]): Subject {
  return { name: 'pbmanifest', command: [process.execPath, cli, ...args] }
}

function theirs(...args: readonly string[]): Subject {
  return { name: 'pg_verifybackup', command: [peer, '-q', '-n', ...args] }
}

async function table(
  name: string,
  directory: string,
  args: readonly string[],
  ...more: string[]
): Promise<void> {
  const comparison = await compare(
    ours('verify', '-q', '-n', ...more, ...args, directory),
    theirs(...args, directory),
    rounds,
    nothing,
  )
  print(describe(name, comparison))
}

async function benchJobs(): Promise<void> {
  for (let jobs = 1; jobs <= availableParallelism(); jobs++) {
    await table(`CRC32C, many files, -j ${jobs}`, await backupDirectory(), [], '-j', String(jobs))
  }
}

/** The same directory with a manifest of SHA-256, made by ourselves. */
async function benchSha256(): Promise<void> {
  const directory = await backupDirectory()
  const manifest = recordDirectory(directory, 'SHA256')
  await table('SHA256, many files', directory, ['-m', manifest])
}

/** Files as large as PostgreSQL makes them. */
async function benchLargeFiles(): Promise<void> {
  const directory = join(scratch, 'large')
  mkdirSync(join(directory, 'base/5'), { recursive: true })
  writeFileSync(join(directory, 'PG_VERSION'), '15\n')
  const block = randomFillSync(Buffer.alloc(16 * 1024 * 1024))
  for (const name of ['16384', '16384.1', '16384.2', '16384.3']) {
    const descriptor = openSync(join(directory, 'base/5', name), 'w')
    for (let written = 0; written < 64; written++) writeSync(descriptor, block)
    closeSync(descriptor)
  }
  await table('CRC32C, 4 files of 1 GiB', directory, ['-m', recordDirectory(directory, 'CRC32C')])
  rmSync(directory, { recursive: true })
}

async function benchMillion(): Promise<void> {
  const empty = join(scratch, 'empty')
  const manifest = join(scratch, 'million')
  mkdirSync(empty)
  makeManifest(manifest, 1_000_000)
  const args = ['-s', '-e', '-m', manifest]
  // Both say that the first file is missing.
  await table('manifest of a million files, load only', empty, args, '--output=json')
}

async function benchMerge(): Promise<void> {
  const backupId = '0123456789abcdef0123456789abcdef'
  const fragments = Array.from({ length: 8 }, (_, worker) => join(scratch, `fragment.${worker}`))
  for (const [worker, path] of fragments.entries()) makeFragment(path, backupId, worker, 8, 1_000_000)
  const output = join(scratch, 'merged')
  const merge = ours('merge', '-q', ...fragments, '-o', output, '--wal-range', '1,0/2000028,0/2000100')
  const sum: Subject = { name: 'sha256sum', command: ['sh', '-c', `cat ${fragments.join(' ')} | sha256sum`] }
  print(
    describe('merge of a million files, beside cat | sha256sum', await compare(merge, sum, rounds, nothing)),
  )
}

function dropCache(): void {
  writeFileSync('/proc/sys/vm/drop_caches', '1')
}

async function benchCold(): Promise<void> {
  const directory = await backupDirectory()
  try {
    dropCache()
  } catch {
    print('cold cache: not measured, this user may not drop the cache')
    return
  }
  const pair = await compare(ours('verify', '-q', '-n', directory), theirs(directory), rounds, dropCache)
  print(describe('CRC32C, many files, cold cache', pair))
}

/** Ourselves with and without page checksums, in the places of the columns for us and the peer, which has none. */
async function benchPages(): Promise<void> {
  process.stderr.write('making a backup with page checksums; this takes a minute\n')
  const shape = { files: Number(values.files), bytes: Number(values.bytes), checksumAlgorithm: 'CRC32C' }
  const { cluster, directory } = await makeBackup({ ...shape, dataChecksums: true })
  const verify = (pageChecksums: string): Subject =>
    ours('verify', '-q', '-n', `--page-checksums=${pageChecksums}`, directory)
  const comparison = await compare(verify('on'), verify('off'), rounds, nothing)
  print(describe('page checksums on, beside off', comparison))
  await cluster.remove()
}

/** Every record of pgbench's WAL, beside what pg_verifybackup starts for it. */
async function benchWal(): Promise<void> {
  const wal = await makeWal(values.wal ?? join(scratch, 'wal'), Number(values['wal-bytes']))
  const { directory, start, end } = wal
  const range = ['--quiet', `--path=${directory}/pg_wal`, `--start=${start}`, `--end=${end}`]
  const dump: Subject = { name: 'pg_waldump', command: [walPeer, ...range] }
  for (let jobs = 1; jobs <= availableParallelism(); jobs++) {
    const pair = await compare(ours('verify', '-q', `-j${jobs}`, directory), dump, rounds, nothing)
    print(describe(`WAL records of pgbench, -j ${jobs}, beside pg_waldump`, pair))
  }
}

async function benchEngines(): Promise<void> {
  const buffer = randomFillSync(Buffer.alloc(256 * 1024))
  for (const { name, createHasher } of crc32cEngines) {
    const hasher = await createHasher().catch(() => undefined)
    if (hasher === undefined) {
      print(`CRC-32C engine ${name}: not installed`)
      continue
    }
    hasher.reset()
    for (let warm = 0; warm < 500; warm++) hasher.update(buffer)
    const start = performance.now()
    for (let round = 0; round < 4000; round++) hasher.update(buffer)
    const seconds = (performance.now() - start) / 1000
    print(`CRC-32C engine ${name}: ${((4000 * buffer.length) / seconds / 1e9).toFixed(1)} GB/s`)
  }
}

function runQuietly(...args: readonly string[]): void {
  execFileSync(process.execPath, [cli, ...args, '-q'])
}

/** Makes a manifest of a directory by fragment and merge; returns its path. */
function recordDirectory(directory: string, algorithm: string): string {
  const fragment = join(scratch, `fragment-${algorithm}`)
  const manifest = join(scratch, `manifest-${algorithm}`)
  const id = 'fedcba9876543210fedcba9876543210'
  rmSync(fragment, { force: true })
  runQuietly(
    'fragment',
    directory,
    '--worker=0',
    '--workers=1',
    `--backup-id=${id}`,
    '-o',
    fragment,
    `--checksum-algorithm=${algorithm}`,
  )
  runQuietly('merge', fragment, '-o', manifest, '--manifest-version=1', '--wal-range', walRangeOf(directory))
  return manifest
}

/** That of the backup's own manifest, or any, when it has none. */
function walRangeOf(directory: string): string {
  const path = join(directory, 'backup_manifest')
  const text = existsSync(path) ? readFileSync(path, 'latin1') : ''
  const range = /"Timeline": (\d+), "Start-LSN": "([^"]+)", "End-LSN": "([^"]+)"/.exec(text)
  return range === null ? '1,0/2000028,0/2000100' : range.slice(1).join(',')
}

async function main(): Promise<void> {
  const wanted = values.only === '' ? Object.keys(cases) : values.only.split(',')
  print('| case | pbmanifest | peer | ratio, median (range) | our peak | their peak |')
  print('| --- | --- | --- | --- | --- | --- |')
  for (const name of wanted) {
    const run = cases[name]
    if (run === undefined) throw new Error(`no case "${name}"\n${usage}`)
    await run()
  }
}

if (values.help === true) {
  print(usage)
} else {
  try {
    await main()
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
