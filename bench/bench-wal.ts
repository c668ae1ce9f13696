import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { everNeededDirectories } from '../src/postgres/data-directory.js'
import { parseLsn } from '../src/postgres/lsn.js'
import { walSegmentsOfRange } from '../test/helpers/wal-segments-of-range.js'
import { createCluster, type Cluster } from '../test/helpers/cluster.js'
import { ours } from './bench-verify.js'
import { type Peer, peersWith, programOf } from './peers.js'
import { type Bench, printRows } from './table.js'

/** What the case of WAL needs. */
export interface WalBench extends Bench {
  /** Where WAL is kept for later runs, or was kept by an earlier one. */
  readonly walDirectory: string
  /** About how much. */
  readonly walBytes: number
}

/** Every record of pgbench's WAL, beside what pg_verifybackup starts for it. */
export async function benchWal(bench: WalBench): Promise<void> {
  const { directory, start, end, major } = await makeWal(bench)
  // Each reads WAL of its own version only.
  const peer = peersWith(bench.peers, 'pg_waldump').find((candidate) => candidate.major === major)
  if (peer === undefined) throw new Error(`no pg_waldump for WAL of PostgreSQL ${major} at hand`)
  const range = ['--quiet', `--path=${directory}/pg_wal`, `--start=${start}`, `--end=${end}`]
  const dump = {
    name: `pg_waldump ${peer.version}`,
    command: [programOf(peer, 'pg_waldump'), ...range],
  } as const
  for (let jobs = 1; jobs <= availableParallelism(); jobs++) {
    await printRows(bench, {
      name: `WAL records of pgbench, -j ${jobs}`,
      ours: ours(bench, 'pbmanifest', 'verify', '-q', `-j${jobs}`, directory),
      beside: [dump],
      ...(jobs === 2 && { wanted: { wall: '1.2' } }),
    })
  }
}

/** A directory with WAL and a manifest of nothing else. */
interface MadeWal {
  readonly directory: string
  /** The major version of the server that wrote it. */
  readonly major: number
  readonly start: string
  readonly end: string
}

const SEGMENT_SIZE = 16 * 1024 * 1024

/** Lets pgbench write about so many bytes of WAL, and keeps them; or takes what an earlier run has kept there. */
async function makeWal({ walDirectory: directory, walBytes, peers }: WalBench): Promise<MadeWal> {
  if (!existsSync(join(directory, 'backup_manifest'))) await runPgbench(directory, walBytes, peers)
  for (const name of everNeededDirectories) mkdirSync(join(directory, name), { recursive: true })
  const manifest = readFileSync(join(directory, 'backup_manifest'), 'utf8')
  const [, start = '', end = ''] = /"Start-LSN": "([^"]+)", "End-LSN": "([^"]+)"/.exec(manifest) ?? []
  const major = Number.parseInt(readFileSync(join(directory, 'PG_VERSION'), 'utf8'), 10)
  return { directory, major, start, end }
}

async function runPgbench(directory: string, bytes: number, peers: readonly Peer[]): Promise<void> {
  const [peer] = peersWith(peers, 'initdb', 'postgres', 'pgbench', 'pg_waldump')
  const settings = { max_wal_size: '8GB', wal_keep_size: '8GB', synchronous_commit: 'off' }
  const cluster = await createCluster(peer, { settings })
  try {
    await pgbench(cluster, ['-i', '-q', '-s', '20'])
    await cluster.sql('CHECKPOINT')
    const start = await currentLsn(cluster)
    let end = start
    while (distance(start, end) < bytes) {
      await pgbench(cluster, ['-n', '-c', '4', '-t', '20000'])
      end = await currentLsn(cluster)
    }
    await cluster.sql('SELECT pg_switch_wal(); CHECKPOINT')
    keepWal(cluster, directory, start, end)
  } finally {
    await cluster.remove()
  }
}

async function pgbench(cluster: Cluster, args: readonly string[]): Promise<void> {
  const { status, stderr } = await cluster.run('pgbench', args)
  if (status !== 0) throw new Error(`pgbench: ${stderr}`)
}

async function currentLsn(cluster: Cluster): Promise<string> {
  const [row] = await cluster.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
  return row?.lsn ?? ''
}

function distance(start: string, end: string): number {
  return Number((parseLsn(end) ?? 0n) - (parseLsn(start) ?? 0n))
}

function keepWal(cluster: Cluster, directory: string, start: string, end: string): void {
  mkdirSync(join(directory, 'pg_wal'), { recursive: true })
  const range = { timeline: 1, startLsn: parseLsn(start) ?? 0n, endLsn: parseLsn(end) ?? 0n }
  for (const { name } of walSegmentsOfRange(range, SEGMENT_SIZE)) {
    copyFileSync(join(cluster.dataDirectory, 'pg_wal', name), join(directory, 'pg_wal', name))
  }
  const version = `${cluster.programs.major}\n`
  writeFileSync(join(directory, 'PG_VERSION'), version)
  const sha256 = createHash('sha256').update(version).digest('hex')
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "${sha256}" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "${start}", "End-LSN": "${end}" }
],
`
  const checksum = createHash('sha256').update(body).digest('hex')
  writeFileSync(join(directory, 'backup_manifest'), `${body}"Manifest-Checksum": "${checksum}"}\n`)
}
