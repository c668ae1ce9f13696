import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { debianPostgres } from '../test/helpers/postgres-programs.js'
import { mustRun } from '../test/helpers/run-program.js'
import { startLimitedProxy } from './limited-proxy.js'
import { compare, describe, measure, type Subject } from './measure.js'

/** What the cases of `pbmanifest backup` need. */
export interface BackupBench {
  /** An empty directory. */
  readonly scratch: string
  /** The built command line. */
  readonly cli: string
  readonly rounds: number
  /** Of pgbench: 15 MB each. */
  readonly scale: number
  readonly print: (line: string) => void
}

/** Of one connection through the proxy: a 100 Mbit/s line. */
const LINK_BYTES_PER_SECOND = 12.5e6

/** The cases; each starts a server of PostgreSQL 15 and ends it. */
export const backupCases: Readonly<Record<string, (bench: BackupBench) => Promise<void>>> = {
  backup: benchLoopback,
  'backup-link': benchLink,
  'backup-rate': benchRate,
  'backup-memory': benchMemory,
}

/** The same server in turn, over its Unix socket, without sync on both sides. */
async function benchLoopback(bench: BackupBench): Promise<void> {
  await withCluster(bench, bench.scale, async (cluster) => {
    for (const jobs of [1, 2, 4]) {
      const pair = await compare(
        ours(bench, cluster.socketDirectory, cluster.port, '-N', `-j${jobs}`),
        theirs(bench, cluster.socketDirectory, cluster.port, '-N'),
        bench.rounds,
        () => setTargetAside(bench),
      )
      bench.print(describe(`backup over a Unix socket, -j ${jobs}`, pair))
    }
    const pair = await compare(
      ours(bench, cluster.socketDirectory, cluster.port, '-j2'),
      theirs(bench, cluster.socketDirectory, cluster.port),
      bench.rounds,
      () => setTargetAside(bench),
    )
    bench.print(describe('the same, -j 2, with sync', pair))
  })
}

/** Through a proxy that limits each connection, as many a long line does. */
async function benchLink(bench: BackupBench): Promise<void> {
  await withCluster(bench, Math.min(bench.scale, 40), async (cluster) => {
    const socket = join(cluster.socketDirectory, `.s.PGSQL.${cluster.port}`)
    const proxy = await startLimitedProxy(socket, LINK_BYTES_PER_SECOND)
    try {
      const pair = await compare(
        ours(bench, '127.0.0.1', proxy.port, '-N', '-j4'),
        theirs(bench, '127.0.0.1', proxy.port, '-N'),
        Math.min(bench.rounds, 3),
        () => setTargetAside(bench),
      )
      bench.print(describe('backup over 100 Mbit/s for each connection, -j 4', pair))
    } finally {
      await proxy.close()
    }
  })
}

/** How near the rate comes to what was asked for. */
async function benchRate(bench: BackupBench): Promise<void> {
  await withCluster(bench, 30, async (cluster) => {
    for (const jobs of [1, 4]) {
      setTargetAside(bench)
      const asked = 20 * 1024 * 1024
      const args = ['-N', `-j${jobs}`, '--max-rate=20M', '--output=json']
      const { command } = ours(bench, cluster.socketDirectory, cluster.port, ...args)
      const [file, ...rest] = command
      const { stdout } = await mustRun(file, rest)
      const { bytes, seconds } = JSON.parse(stdout) as { bytes: number; seconds: { copy: number } }
      const rate = bytes / seconds.copy
      bench.print(
        `-r 20M, -j ${jobs}: ${(rate / 1024 / 1024).toFixed(2)} MB/s, ${((100 * rate) / asked).toFixed(1)} % of what was asked for`,
      )
    }
  })
}

/** Whether memory grows with the size of the files. */
async function benchMemory(bench: BackupBench): Promise<void> {
  for (const scale of [10, 40, 160]) {
    await withCluster(bench, scale, async (cluster) => {
      setTargetAside(bench)
      const run = await measure(ours(bench, cluster.socketDirectory, cluster.port, '-N', '-j4'))
      bench.print(`memory of a backup of ${scale * 15} MB, -j 4: ${run.peakMegabytes.toFixed(0)} MB`)
    })
  }
}

export async function withCluster(
  bench: BackupBench,
  scale: number,
  run: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const programs = debianPostgres()
  const pgbench = programs?.path('pgbench')
  if (programs === undefined || pgbench === undefined) throw new Error("Debian's postgresql-15 is needed")
  const settings = { max_wal_size: '8GB', autovacuum: 'off', max_connections: 50 }
  const cluster = await createCluster(programs, { dataChecksums: true, settings })
  try {
    const args = ['-i', '-q', '-I', 'dtGvp', `--scale=${scale}`, '--partitions=16']
    await mustRun(pgbench, args, { env: cluster.environment() })
    await cluster.sql('CHECKPOINT')
    await run(cluster)
  } finally {
    const targets = readdirSync(bench.scratch).filter((name) => name.startsWith(TARGET))
    for (const name of targets) rmSync(join(bench.scratch, name), { recursive: true })
    await cluster.remove()
  }
}

const TARGET = 'target'

function targetOf({ scratch }: BackupBench): string {
  return join(scratch, TARGET)
}

/**
 * Makes room for another backup. The old one's files stay, without their bytes: for minutes after files were deleted, ext4
 * takes long to create others (`recently_deleted`), a fifth of the processor time of both programs.
 */
export function setTargetAside(bench: BackupBench): void {
  const target = targetOf(bench)
  if (!existsSync(target)) return
  const aside = mkdtempSync(`${target}-`)
  renameSync(target, aside)
  for (const entry of readdirSync(aside, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) truncateSync(join(entry.parentPath, entry.name))
  }
}

export function ours(bench: BackupBench, host: string, port: number, ...args: readonly string[]): Subject {
  return {
    name: 'pbmanifest',
    command: [process.execPath, bench.cli, 'backup', ...commonArgs(bench, host, port), ...args],
  }
}

export function theirs(bench: BackupBench, host: string, port: number, ...args: readonly string[]): Subject {
  const program = debianPostgres()?.path('pg_basebackup') ?? 'pg_basebackup'
  return { name: 'pg_basebackup', command: [program, ...commonArgs(bench, host, port), ...args] }
}

function commonArgs(bench: BackupBench, host: string, port: number): readonly string[] {
  return ['-D', targetOf(bench), '-h', host, '-p', String(port), '-U', 'postgres', '-c', 'fast']
}
