import { type ChildProcess, spawn } from 'node:child_process'
import type { Cluster } from '../../helpers/cluster.js'
import { debianPostgres } from '../../helpers/postgres-programs.js'
import { mustRun, plainEnvironment } from '../../helpers/run-program.js'

// pgbench has none of its own for this: what each transaction moves is the same in all three tables.
const sums = `
  SELECT (SELECT sum(abalance) FROM pgbench_accounts) AS accounts,
         (SELECT sum(tbalance) FROM pgbench_tellers) AS tellers,
         (SELECT sum(bbalance) FROM pgbench_branches) AS branches,
         (SELECT coalesce(sum(delta), 0) FROM pgbench_history) AS history,
         (SELECT count(*) FROM pgbench_history)::int AS transactions`

/** Debian's pgbench, which works with servers of other versions as well. */
export function findPgbench(): string | undefined {
  return debianPostgres()?.path('pgbench')
}

/** Fills the tables of pgbench; those of one scale are 15 MB. */
export async function fillPgbench(cluster: Cluster, scale: number, tablespace: string): Promise<void> {
  const args = ['-i', '-q', `--scale=${scale}`, `--index-tablespace=${tablespace}`]
  await mustRun(requirePgbench(), args, { env: cluster.environment() })
}

/** A load that goes on until it is told to end. */
export function startPgbench(cluster: Cluster): { stop(): Promise<void> } {
  const child: ChildProcess = spawn(
    requirePgbench(),
    ['--client=2', '--time=600', '--rate=200', '--no-vacuum'],
    { cwd: '/', env: { ...plainEnvironment(), ...cluster.environment() }, stdio: 'ignore' },
  )
  const end = new Promise<void>((resolve) => {
    child.on('close', () => resolve())
  })
  return {
    stop: async () => {
      child.kill('SIGTERM')
      await end
    },
  }
}

/** What pgbench keeps equal: the sums of all its tables. Returns how many transactions there were. */
export async function expectEqualSums(cluster: Cluster): Promise<number> {
  const [row] = await cluster.sql<
    Record<'accounts' | 'tellers' | 'branches' | 'history', string> & { transactions: number }
  >(sums)
  if (row === undefined) throw new Error('no sums')
  const { accounts, tellers, branches, history, transactions } = row
  if (new Set([accounts, tellers, branches, history]).size !== 1) {
    throw new Error(`the sums of pgbench differ: ${JSON.stringify(row)}`)
  }
  return transactions
}

function requirePgbench(): string {
  const path = findPgbench()
  if (path === undefined) throw new Error('no pgbench')
  return path
}
