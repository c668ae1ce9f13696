import { RemoteSession } from '../src/transfer/client/source/agent-source.js'
import { readConnectionEnvironment } from '../src/transfer/connection/settings/resolve-connection.js'
import { resolveAgent } from '../src/transfer/connection/settings/resolve-agent.js'
import type { Cluster } from '../test/helpers/cluster.js'
import { AgentProgram } from '../test/transfer/agent/agent-program.js'
import { type BackupBench, ours, setTargetAside, theirs, wantedRatio, withCluster } from './bench-backup.js'
import { printRows } from './table.js'

/** The case of `pbmanifest backup --agent`: an agent on a loopback port, beside a server of the newest version at hand. */
export async function benchAgent(bench: BackupBench): Promise<void> {
  await withCluster(bench, bench.scale, async (cluster) => {
    const agent = await AgentProgram.start(cluster, ['--listen=127.0.0.1:0', '--insecure'])
    try {
      const place = `127.0.0.1:${await agent.networkPort()}`
      for (const verifyChecksums of [true, false]) await benchSendFile(bench, cluster, place, verifyChecksums)
      await benchPairs(bench, cluster, place)
    } finally {
      await agent.stop()
    }
  })
}

/** The files of the largest relation, one after the other, on one connection; nothing is written. */
async function benchSendFile(
  bench: BackupBench,
  cluster: Cluster,
  place: string,
  verifyChecksums: boolean,
): Promise<void> {
  const rows = await cluster.sql<{ path: string }>(
    `SELECT pg_relation_filepath(oid) AS path FROM pg_class
      WHERE relname LIKE 'pgbench_accounts%' AND relkind = 'r' ORDER BY pg_relation_size(oid) DESC LIMIT 16`,
  )
  const { options } = resolveAgent(place, {}, readConnectionEnvironment({ PGUSER: 'postgres' }))
  const session = await RemoteSession.open(options, {
    onNotice: () => {},
    onLost: (error) => {
      throw error
    },
    signal: AbortSignal.timeout(600_000),
  })
  const start = {
    command: 'START_BACKUP',
    label: 'bench',
    fast: true,
    maxRate: undefined,
    manifest: 'yes',
    manifestChecksums: undefined,
    incremental: false,
  } as const
  await session.run(start)
  const files = rows.map(({ path }) => ({ pathname: path, size: undefined }))
  const sendFile = { command: 'SEND_FILE', files, verifyChecksums } as const
  for (let round = 0; round <= bench.rounds; round++) {
    const began = performance.now()
    let bytes = 0
    for await (const event of await session.run(sendFile)) {
      if (event.type === 'bytes') bytes += event.bytes.length
    }
    const rate = bytes / ((performance.now() - began) / 1000) / 1e9
    const what = verifyChecksums ? 'pages verified' : 'pages not verified'
    if (round > 0) bench.print(`SEND_FILE on one connection, ${what}: ${rate.toFixed(2)} GB/s`)
  }
  await session.abort()
}

async function benchPairs(bench: BackupBench, cluster: Cluster, place: string): Promise<void> {
  const { socketDirectory, port } = cluster
  const before = (): void => setTargetAside(bench)
  for (const jobs of [1, 2]) {
    await printRows(bench, {
      name: `backup from an agent on loopback, -j ${jobs}`,
      ours: ours(bench, socketDirectory, port, '-N', `-j${jobs}`, `--agent=${place}`),
      beside: [theirs(bench, socketDirectory, port, '-N')],
      before,
      ...(jobs === 2 && { wanted: wantedRatio(bench, '0.85', '0.70') }),
    })
  }
  await printRows(bench, {
    name: 'the same, -j 2',
    ours: ours(bench, socketDirectory, port, '-N', '-j2', `--agent=${place}`),
    beside: [{ ...ours(bench, socketDirectory, port, '-N', '-j2'), name: 'ours over SQL' }],
    before,
  })
}
