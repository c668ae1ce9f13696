import { execFileSync, spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32cEngines } from '../src/manifest/checksum/crc32c-engines.js'
import { everNeededDirectories } from '../src/postgres/data-directory.js'
import { pgBaseBackup } from '../test/helpers/base-backup.js'
import { createCluster } from '../test/helpers/cluster.js'
import { type BackupShape, makeBackup } from './make-backup.js'
import { makeManifest } from './make-manifest.js'
import type { Subject } from './measure.js'
import { type Peer, peersWith, programOf } from './peers.js'
import { type Bench, printRows, type Wanted } from './table.js'

/** What the cases of `pbmanifest verify` need. */
export interface VerifyBench extends Bench {
  /** Of the backup that is made. */
  readonly shape: BackupShape
  /** A backup in plain format with a CRC32C manifest of version 1, made when it is first asked for. */
  readonly backupDirectory: () => Promise<string>
}

type Case = (bench: VerifyBench) => Promise<void>

/** Beside pg_verifybackup without WAL, where nothing else is said. */
export const verifyCases: Readonly<Record<string, Case>> = {
  engines: benchEngines,
  many: benchManyFiles,
  'default-install': benchDefaultInstall,
  jobs: benchJobs,
  sha256: benchSha256,
  large: benchLargeFiles,
  million: benchMillion,
  cold: benchCold,
  pages: benchPages,
  fresh: benchFresh,
  slow: benchSlowStorage,
}

async function benchManyFiles(bench: VerifyBench): Promise<void> {
  const wanted = { wall: '0.75', processor: '1.35' }
  await compare(bench, 'CRC32C, many files', await bench.backupDirectory(), { wanted })
}

/** Without aws-crt, which users have to install themselves. */
async function benchDefaultInstall(bench: VerifyBench): Promise<void> {
  const wanted = { wall: '0.90', processor: '1.6' }
  const cli = copyWithoutAwsCrt(bench)
  await compare({ ...bench, cli }, 'the same, default install', await bench.backupDirectory(), { wanted })
}

async function benchJobs(bench: VerifyBench): Promise<void> {
  for (let jobs = 1; jobs <= availableParallelism(); jobs++) {
    const directory = await bench.backupDirectory()
    await compare(bench, `CRC32C, many files, -j ${jobs}`, directory, { ours: [`-j${jobs}`] })
  }
}

/** The same directory with a manifest of SHA-256, made by ourselves. */
async function benchSha256(bench: VerifyBench): Promise<void> {
  const directory = await bench.backupDirectory()
  const both = ['-m', recordDirectory(bench, directory, 'SHA256')]
  await compare(bench, 'SHA256, many files', directory, { both, wanted: { wall: '0.60', processor: '1.15' } })
}

/** Files as large as PostgreSQL makes them. */
async function benchLargeFiles(bench: VerifyBench): Promise<void> {
  const directory = join(bench.scratch, 'large')
  for (const name of [...everNeededDirectories, 'base/5'])
    mkdirSync(join(directory, name), { recursive: true })
  writeFileSync(join(directory, 'PG_VERSION'), '15\n')
  const block = randomFillSync(Buffer.alloc(16 * 1024 * 1024))
  for (const name of ['16384', '16384.1', '16384.2', '16384.3']) {
    const descriptor = openSync(join(directory, 'base/5', name), 'w')
    for (let written = 0; written < 64; written++) writeSync(descriptor, block)
    closeSync(descriptor)
  }
  const both = ['-m', recordDirectory(bench, directory, 'CRC32C')]
  await compare(bench, 'CRC32C, 4 files of 1 GiB', directory, {
    both,
    wanted: { wall: '0.50', processor: '1.0' },
  })
  rmSync(directory, { recursive: true })
}

async function benchMillion(bench: VerifyBench): Promise<void> {
  const empty = join(bench.scratch, 'empty')
  const manifest = join(bench.scratch, 'million')
  mkdirSync(empty)
  makeManifest(manifest, 1_000_000)
  // All say that the first file is missing.
  await compare(bench, 'manifest of a million files, load only', empty, {
    both: ['-s', '-e', '-m', manifest],
    ours: ['-F', 'plain'],
    // An empty directory is taken for one in tar format.
    theirs: ({ major }) => (major >= 18 ? ['-F', 'plain'] : []),
    wanted: { wall: '0.60', processor: '1.0', peak: '150 MB' },
  })
}

async function benchCold(bench: VerifyBench): Promise<void> {
  const directory = await bench.backupDirectory()
  try {
    dropCache()
  } catch {
    bench.print('cold cache: not measured, this user may not drop the cache')
    return
  }
  await compare(bench, 'CRC32C, many files, cold cache', directory, { before: dropCache })
}

function dropCache(): void {
  writeFileSync('/proc/sys/vm/drop_caches', '1')
}

/** Page checksums as well, which no peer looks at; and what they cost. */
async function benchPages(bench: VerifyBench): Promise<void> {
  process.stderr.write('making a backup with page checksums; this takes a minute\n')
  const { cluster, directory } = await makeBackup({ ...bench.shape, dataChecksums: true }, bench.peers)
  try {
    await compare(bench, 'CRC32C and page checksums, many files', directory, {
      ours: ['--page-checksums=on'],
      wanted: { wall: '0.95' },
    })
    const [on, off] = (['on', 'off'] as const).map((choice) =>
      ours(bench, `page checksums ${choice}`, 'verify', '-q', '-n', `--page-checksums=${choice}`, directory),
    )
    if (on === undefined || off === undefined) return
    await printRows(bench, {
      name: 'page checksums on',
      ours: on,
      beside: [{ ...off, name: 'off' }],
      wanted: { wall: '1.5' },
    })
  } finally {
    await cluster.remove()
  }
}

/** All of a new cluster, its WAL too. Only pg_verifybackup of the same version has a pg_waldump for that. */
async function benchFresh(bench: VerifyBench): Promise<void> {
  const [peer] = peersWith(
    bench.peers,
    'initdb',
    'postgres',
    'pg_basebackup',
    'pg_verifybackup',
    'pg_waldump',
  )
  const cluster = await createCluster(peer, { dataChecksums: true })
  try {
    const { directory } = await pgBaseBackup(cluster, { name: 'fresh' })
    await printRows(bench, {
      name: 'a new cluster, with its WAL',
      ours: ours(bench, 'pbmanifest', 'verify', '-q', directory),
      beside: [theirs(peer, '-q', directory)],
      wanted: { wall: '0.18 s' },
    })
  } finally {
    await cluster.remove()
  }
}

/** Fewer files than the other cases have: each of them costs the peers more than 2 ms. */
const SLOW_SHAPE = { files: 10_000, bytes: 4e8 }

/** Storage that answers each open and each read late, as if it were on a network. */
async function benchSlowStorage(bench: VerifyBench): Promise<void> {
  const library = compileSlowStorage(bench)
  if (library === undefined) {
    bench.print('slow storage: not measured, there is no cc that compiles the library')
    return
  }
  const { cluster, directory } = await makeBackup({ ...bench.shape, ...SLOW_SHAPE }, bench.peers)
  try {
    const slow = {
      env: { LD_PRELOAD: library, PBMANIFEST_BENCH_SLOW: directory },
      rounds: Math.min(bench.rounds, 3),
    }
    const name = 'CRC32C, 10,000 files, 1 ms for each open and read'
    await compare(bench, `${name}, -j 16`, directory, { ...slow, ours: ['-j16'], wanted: { wall: '0.10' } })
    await compare(bench, `${name}, without -j`, directory, slow)
  } finally {
    await cluster.remove()
  }
}

function compileSlowStorage({ scratch }: Bench): string | undefined {
  const source = fileURLToPath(new URL('../../bench/slow-storage.c', import.meta.url))
  const library = join(scratch, 'slow-storage.so')
  const { status } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl'])
  return status === 0 ? library : undefined
}

async function benchEngines(bench: VerifyBench): Promise<void> {
  const buffer = randomFillSync(Buffer.alloc(256 * 1024))
  for (const { name, createHasher } of crc32cEngines) {
    const hasher = await createHasher().catch(() => undefined)
    if (hasher === undefined) {
      bench.print(`CRC-32C engine ${name}: not installed`)
      continue
    }
    hasher.reset()
    for (let warm = 0; warm < 500; warm++) hasher.update(buffer)
    const start = performance.now()
    for (let round = 0; round < 4000; round++) hasher.update(buffer)
    const seconds = (performance.now() - start) / 1000
    bench.print(`CRC-32C engine ${name}: ${((4000 * buffer.length) / seconds / 1e9).toFixed(1)} GB/s`)
  }
}

interface Details {
  /** Arguments that we and the peers get. */
  readonly both?: readonly string[]
  readonly ours?: readonly string[]
  readonly theirs?: (peer: Peer) => readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly rounds?: number
  readonly before?: () => void
  readonly wanted?: Wanted
}

/** `verify -q -n` beside `pg_verifybackup -q -n` of all peers. */
async function compare(bench: Bench, name: string, directory: string, details: Details): Promise<void> {
  const { both = [], ours: more = [], theirs: theirMore = () => [], env = {}, ...rest } = details
  const beside = peersWith(bench.peers, 'pg_verifybackup').map((peer) => ({
    ...theirs(peer, '-q', '-n', ...theirMore(peer), ...both, directory),
    env,
  }))
  const subject = { ...ours(bench, 'pbmanifest', 'verify', '-q', '-n', ...more, ...both, directory), env }
  await printRows(bench, { name, ours: subject, beside, ...rest })
}

/** Our command line. */
export function ours({ cli }: Bench, name: string, ...args: readonly string[]): Subject {
  return { name, command: [process.execPath, cli, ...args] }
}

function theirs(peer: Peer, ...args: readonly string[]): Subject {
  return {
    name: `pg_verifybackup ${peer.version}`,
    command: [programOf(peer, 'pg_verifybackup'), ...args],
  }
}

/** @returns the command line of a copy of the package as `npm install pbmanifest` alone makes it */
function copyWithoutAwsCrt({ scratch, cli }: Bench): string {
  const copy = join(scratch, 'default-install')
  const modules = join(dirname(cli), '../../node_modules')
  mkdirSync(join(copy, 'node_modules'), { recursive: true })
  cpSync(dirname(cli), join(copy, 'dist/program'), { recursive: true })
  cpSync(join(dirname(cli), '../../package.json'), join(copy, 'package.json'))
  for (const name of readdirSync(modules)) {
    if (name !== 'aws-crt') symlinkSync(join(modules, name), join(copy, 'node_modules', name))
  }
  return join(copy, 'dist/program/main.js')
}

/** Makes a manifest of a directory by fragment and merge; returns its path. */
export function recordDirectory({ scratch, cli }: Bench, directory: string, algorithm: string): string {
  const fragment = join(scratch, `fragment-${algorithm}`)
  const manifest = join(scratch, `manifest-${algorithm}`)
  const id = 'fedcba9876543210fedcba9876543210'
  const run = (...args: readonly string[]): void => void execFileSync(process.execPath, [cli, ...args, '-q'])
  rmSync(fragment, { force: true })
  const what = ['--worker=0', '--workers=1', `--backup-id=${id}`, `--checksum-algorithm=${algorithm}`]
  run('fragment', directory, ...what, '-o', fragment)
  run('merge', fragment, '-o', manifest, '--manifest-version=1', '--wal-range', walRangeOf(directory))
  return manifest
}

/** That of the backup's own manifest, or any, when it has none. */
function walRangeOf(directory: string): string {
  const path = join(directory, 'backup_manifest')
  const text = existsSync(path) ? readFileSync(path, 'latin1') : ''
  const range = /"Timeline": (\d+), "Start-LSN": "([^"]+)", "End-LSN": "([^"]+)"/.exec(text)
  return range === null ? '1,0/2000028,0/2000100' : range.slice(1).join(',')
}
