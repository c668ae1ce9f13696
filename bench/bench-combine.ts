import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pgBaseBackup } from '../test/helpers/base-backup.js'
import { createCluster } from '../test/helpers/cluster.js'
import { mustRun } from '../test/helpers/run-program.js'
import type { BackupBench } from './bench-backup.js'
import { ours } from './bench-verify.js'
import { type Peer, peersWith, programOf } from './peers.js'
import { printRows } from './table.js'

const INCREMENTALS = 3

/** `pbmanifest combine` of a full backup and three incremental ones beside pg_combinebackup, which compares nothing. */
export async function benchCombine(bench: BackupBench): Promise<void> {
  const [peer] = peersWith(bench.peers, 'initdb', 'pg_basebackup', 'pgbench', 'pg_combinebackup')
  const directories = await takeChain(bench, peer)
  const output = join(bench.scratch, 'combined')
  const before = (): void => {
    if (existsSync(output)) rmSync(output, { recursive: true })
  }
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

/** A cluster of pgbench, of which about a twentieth of the blocks is changed before each incremental backup. */
async function takeChain(bench: BackupBench, peer: Peer): Promise<readonly string[]> {
  const cluster = await createCluster(peer, {
    settings: { summarize_wal: true, max_wal_size: '8GB', autovacuum: 'off', wal_keep_size: '4GB' },
  })
  const pgbench = async (...args: readonly string[]): Promise<void> => {
    await mustRun(programOf(peer, 'pgbench'), args, { user: cluster.user, env: cluster.environment() })
  }
  try {
    await pgbench('-i', '-q', '-s', String(bench.scale))
    const full = await pgBaseBackup(cluster, { name: 'full' })
    const directories = [full.directory]
    let { manifestPath } = full
    for (let number = 1; number <= INCREMENTALS; number++) {
      // A row is 1/61 of a block.
      await pgbench('-n', '-c', '4', '-t', String(Math.ceil((bench.scale * 100_000) / 61 / 20 / 4)))
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
