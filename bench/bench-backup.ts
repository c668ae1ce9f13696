import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { mustRun } from '../test/helpers/run-program.js'
import { startLimitedProxy } from './limited-proxy.js'
import { measure, type Subject } from './measure.js'
import { type Peer, peersWith, programOf } from './peers.js'
import { type Bench, printRows } from './table.js'

/** What the cases of `pbmanifest backup` need. */
export interface BackupBench extends Bench {
  /** Of pgbench: 15 MB each. */
  readonly scale: number
}

/** Of one connection through the proxy: a 100 Mbit/s line. */
const LINK_BYTES_PER_SECOND = 12.5e6

/** The cases; each starts a server of the newest version at hand and ends it. */
export const backupCases: Readonly<Record<string, (bench: BackupBench) => Promise<void>>> = {
  backup: benchLoopback,
  tar: benchTar,
  'backup-link': benchLink,
  'backup-rate': benchRate,
  'backup-memory': benchMemory,
}

/** Of the scales that docs/performance.md names: 1 GB and 4.2 GB. */
export function wantedRatio({ scale }: BackupBench, small: string, large: string): { readonly wall: string } {
  return { wall: scale < 140 ? small : large }
}

/** The same server in turn, over its Unix socket, without sync on both sides. */
async function benchLoopback(bench: BackupBench): Promise<void> {
  await withCluster(bench, bench.scale, async ({ socketDirectory, port }) => {
    const before = (): void => setTargetAside(bench)
    for (const jobs of [1, 2, 4]) {
      await printRows(bench, {
        name: `backup over a Unix socket, -j ${jobs}`,
        ours: ours(bench, socketDirectory, port, '-N', `-j${jobs}`),
        beside: [theirs(bench, socketDirectory, port, '-N')],
        before,
        ...(jobs === 2 && { wanted: wantedRatio(bench, '1.0', '0.80') }),
      })
    }
    await printRows(bench, {
      name: 'the same, -j 2, with sync',
      ours: ours(bench, socketDirectory, port, '-j2'),
      beside: [theirs(bench, socketDirectory, port)],
      before,
    })
  })
}

/** Archives, plain and compressed, in turn. Ours are verified, too. */
async function benchTar(bench: BackupBench): Promise<void> {
  await withCluster(bench, bench.scale, async ({ socketDirectory, port }) => {
    for (const [what, args, wanted] of [
      ['-Ft', ['-Ft'], undefined],
      ['-Ft -z', ['-Ft', '-z'], { wall: '0.7' }],
    ] as const) {
      await printRows(bench, {
        name: `backup ${what} over a Unix socket, -j 2`,
        ours: ours(bench, socketDirectory, port, '-N', '-j2', ...args),
        beside: [theirs(bench, socketDirectory, port, '-N', ...args)],
        before: () => setTargetAside(bench),
        ...(wanted && { wanted }),
      })
    }
  })
}

/** Through a proxy that limits each connection, as many a long line does. */
async function benchLink(bench: BackupBench): Promise<void> {
  await withCluster(bench, Math.min(bench.scale, 40), async (cluster) => {
    const socket = join(cluster.socketDirectory, `.s.PGSQL.${cluster.port}`)
    const proxy = await startLimitedProxy(socket, LINK_BYTES_PER_SECOND)
    try {
      await printRows(bench, {
        name: 'backup over 100 Mbit/s for each connection, -j 4',
        ours: ours(bench, '127.0.0.1', proxy.port, '-N', '-j4'),
        beside: [theirs(bench, '127.0.0.1', proxy.port, '-N')],
        before: () => setTargetAside(bench),
        rounds: Math.min(bench.rounds, 3),
        wanted: { wall: '0.29' },
      })
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
  const settings = { max_wal_size: '8GB', autovacuum: 'off', max_connections: 50 }
  const cluster = await createCluster(serverOf(bench), { dataChecksums: true, settings })
  try {
    const args = ['-i', '-q', '-I', 'dtGvp', `--scale=${scale}`, '--partitions=16']
    const pgbench = programOf(peersWith(bench.peers, 'pgbench')[0], 'pgbench')
    await mustRun(pgbench, args, { env: cluster.environment() })
    await cluster.sql('CHECKPOINT')
    await run(cluster)
  } finally {
    removeTargets(bench)
    await cluster.remove()
  }
}

/** Whose server is backed up, by its own pg_basebackup as well. */
function serverOf({ peers }: BackupBench): Peer {
  return peersWith(peers, 'initdb', 'postgres', 'pg_basebackup')[0]
}

const TARGET = 'target'

/** Where both programs write to. */
export function targetOf({ scratch }: BackupBench): string {
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

/** Removes what {@link setTargetAside} left, and the last target. */
export function removeTargets({ scratch }: BackupBench): void {
  const targets = readdirSync(scratch).filter((name) => name.startsWith(TARGET))
  for (const name of targets) rmSync(join(scratch, name), { recursive: true })
}

export function ours(bench: BackupBench, host: string, port: number, ...args: readonly string[]): Subject {
  return {
    name: 'pbmanifest',
    command: [process.execPath, bench.cli, 'backup', ...commonArgs(bench, host, port), ...args],
  }
}

export function theirs(bench: BackupBench, host: string, port: number, ...args: readonly string[]): Subject {
  const server = serverOf(bench)
  return {
    name: `pg_basebackup ${server.version}`,
    command: [programOf(server, 'pg_basebackup'), ...commonArgs(bench, host, port), ...args],
  }
}

function commonArgs(bench: BackupBench, host: string, port: number): readonly string[] {
  return ['-D', targetOf(bench), '-h', host, '-p', String(port), '-U', 'postgres', '-c', 'fast']
}
