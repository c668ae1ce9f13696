import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { RemoteSession } from '../src/transfer/client/agent/remote-session.js'
import { readConnectionEnvironment } from '../src/transfer/connection/connection-environment.js'
import { resolveAgent } from '../src/transfer/connection/resolve-agent.js'
import type { Cluster } from '../test/helpers/cluster.js'
import { type BackupBench, ours, setTargetAside, theirs, withCluster } from './bench-backup.js'
import { compare, describe } from './measure.js'

/** The case of `pbmanifest backup --agent`: an agent on a loopback port, beside a server of PostgreSQL 15. */
export async function benchAgent(bench: BackupBench): Promise<void> {
  await withCluster(bench, bench.scale, async (cluster) => {
    const agent = await startAgent(bench, cluster)
    try {
      for (const verifyChecksums of [true, false]) await benchSendFile(bench, cluster, agent, verifyChecksums)
      await benchPairs(bench, cluster, agent)
    } finally {
      agent.process.kill()
      await once(agent.process, 'close')
    }
  })
}

interface Agent {
  readonly process: ChildProcess
  /** `HOST:PORT` */
  readonly place: string
}

/** The files of the largest relation, one after the other, on one connection; nothing is written. */
async function benchSendFile(
  bench: BackupBench,
  cluster: Cluster,
  agent: Agent,
  verifyChecksums: boolean,
): Promise<void> {
  const rows = await cluster.sql<{ path: string }>(
    `SELECT pg_relation_filepath(oid) AS path FROM pg_class
      WHERE relname LIKE 'pgbench_accounts%' AND relkind = 'r' ORDER BY pg_relation_size(oid) DESC LIMIT 16`,
  )
  const { options } = resolveAgent(agent.place, {}, readConnectionEnvironment({ PGUSER: 'postgres' }))
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

async function benchPairs(bench: BackupBench, cluster: Cluster, { place }: Agent): Promise<void> {
  const { socketDirectory, port } = cluster
  for (const jobs of [1, 2]) {
    const pair = await compare(
      ours(bench, socketDirectory, port, '-N', `-j${jobs}`, `--agent=${place}`),
      theirs(bench, socketDirectory, port, '-N'),
      bench.rounds,
      () => setTargetAside(bench),
    )
    bench.print(describe(`backup from an agent on loopback, -j ${jobs}`, pair))
  }
  const pair = await compare(
    ours(bench, socketDirectory, port, '-N', '-j2', `--agent=${place}`),
    ours(bench, socketDirectory, port, '-N', '-j2'),
    bench.rounds,
    () => setTargetAside(bench),
  )
  bench.print(describe('the same, -j 2, beside ours over SQL', pair))
}

async function startAgent({ cli }: BackupBench, cluster: Cluster): Promise<Agent> {
  const port = 5433 + Math.floor(Math.random() * 20_000)
  const place = `127.0.0.1:${port}`
  const args = [
    'serve',
    `--pgdata=${cluster.dataDirectory}`,
    `--server=host=${cluster.socketDirectory} port=${cluster.port} user=postgres`,
    `--listen=${place}`,
    '--insecure',
    '--log-level=error',
  ]
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error('the agent has ended')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { process: child, place }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
