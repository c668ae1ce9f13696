import { pgBaseBackup } from '../test/helpers/base-backup.js'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { mustRun } from '../test/helpers/run-program.js'
import {
  type BackupBench,
  ours as ourBackup,
  removeTargets,
  setTargetAside,
  targetOf,
  theirs as theirBackup,
} from './bench-backup.js'
import { ours } from './bench-verify.js'
import { type Peer, peersWith, programOf } from './peers.js'
import { printRows } from './table.js'

const INCREMENTALS = 3

/** `pbmanifest combine` of a full backup and three incremental ones beside pg_combinebackup, which compares nothing. */
export async function benchCombine(bench: BackupBench): Promise<void> {
  const [peer] = peersWith(bench.peers, 'initdb', 'pg_basebackup', 'pgbench', 'pg_combinebackup')
  const cluster = await createCluster(peer, { settings })
  const directories = await takeChain(bench, peer, cluster)
  const output = targetOf(bench)
  const before = (): void => setTargetAside(bench)
  const args = [...directories, '-o', output]
  const rows = [
    { name: 'combine, -j 2', own: ['-j2', '-N'], their: ['-N'], wanted: { wall: '0.80' } },
    { name: 'the same, with sync', own: ['-j2'], their: [] },
    { name: 'the same, --no-verify, without sync', own: ['-j2', '-N', '--no-verify'], their: ['-N'] },
  ]
  for (const { name, own, their, wanted } of rows) {
    await printRows(bench, {
      name,
      ours: ours(bench, 'pbmanifest', 'combine', '-q', ...args, ...own),
      beside: [
        {
          name: `pg_combinebackup ${peer.version}`,
          command: [programOf(peer, 'pg_combinebackup'), ...args, ...their],
        },
      ],
      before,
      ...(wanted && { wanted }),
    })
  }
}

/** An incremental backup of which about a twentieth of the blocks was changed, beside pg_basebackup, of the same server in turn. */
export async function benchIncrementalBackup(bench: BackupBench): Promise<void> {
  const [peer] = peersWith(bench.peers, 'initdb', 'postgres', 'pg_basebackup', 'pgbench', 'pg_combinebackup')
  const cluster = await createCluster(peer, { dataChecksums: true, settings })
  try {
    await fill(bench, peer, cluster)
    const { manifestPath } = await pgBaseBackup(cluster, { name: 'full' })
    await change(bench, peer, cluster)
    const { socketDirectory, port } = cluster
    for (const jobs of [1, 2]) {
      await printRows(bench, {
        name: `incremental backup over a Unix socket, -j ${jobs}`,
        ours: ourBackup(bench, socketDirectory, port, '-N', `-j${jobs}`, '-i', manifestPath),
        beside: [theirBackup(bench, socketDirectory, port, '-N', '-i', manifestPath)],
        before: () => setTargetAside(bench),
        ...(jobs === 2 && { wanted: { wall: '0.90' } }),
      })
    }
  } finally {
    removeTargets(bench)
    await cluster.remove()
  }
}

const settings = { summarize_wal: true, max_wal_size: '8GB', autovacuum: 'off', wal_keep_size: '4GB' }

async function fill(bench: BackupBench, peer: Peer, cluster: Cluster): Promise<void> {
  await pgbench(peer, cluster, '-i', '-q', '-s', String(bench.scale))
}

/** Changes about a twentieth of the blocks: a row is 1/61 of one. */
async function change(bench: BackupBench, peer: Peer, cluster: Cluster): Promise<void> {
  await pgbench(
    peer,
    cluster,
    '-n',
    '-c',
    '4',
    '-t',
    String(Math.ceil((bench.scale * 100_000) / 61 / 20 / 4)),
  )
}

async function pgbench(peer: Peer, cluster: Cluster, ...args: readonly string[]): Promise<void> {
  await mustRun(programOf(peer, 'pgbench'), args, { user: cluster.user, env: cluster.environment() })
}

/** A chain of backups of such a cluster. */
async function takeChain(bench: BackupBench, peer: Peer, cluster: Cluster): Promise<readonly string[]> {
  try {
    await fill(bench, peer, cluster)
    const full = await pgBaseBackup(cluster, { name: 'full' })
    const directories = [full.directory]
    let { manifestPath } = full
    for (let number = 1; number <= INCREMENTALS; number++) {
      await change(bench, peer, cluster)
      const backup = await pgBaseBackup(cluster, {
        name: `incremental${number}`,
        args: [`--incremental=${manifestPath}`],
      })
      directories.push(backup.directory)
      manifestPath = backup.manifestPath
    }
    return directories
  } finally {
    await cluster.stop()
  }
}
