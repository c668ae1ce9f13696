import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseLsn } from '../src/postgres/lsn.js'
import { walSegmentsOfRange } from '../test/helpers/wal-segments-of-range.js'
import { createCluster, type Cluster } from '../test/helpers/cluster.js'
import { debianPostgres } from '../test/helpers/postgres-programs.js'

/** A directory with WAL and a manifest of nothing else. */
export interface BenchWal {
  readonly directory: string
  readonly start: string
  readonly end: string
}

const SEGMENT_SIZE = 16 * 1024 * 1024

/** Lets pgbench write about so many bytes of WAL, and keeps them; or takes what an earlier run has kept there. */
export async function makeWal(directory: string, bytes: number): Promise<BenchWal> {
  if (!existsSync(join(directory, 'backup_manifest'))) await runPgbench(directory, bytes)
  const manifest = readFileSync(join(directory, 'backup_manifest'), 'utf8')
  const [, start = '', end = ''] = /"Start-LSN": "([^"]+)", "End-LSN": "([^"]+)"/.exec(manifest) ?? []
  return { directory, start, end }
}

async function runPgbench(directory: string, bytes: number): Promise<void> {
  const programs = debianPostgres()
  if (programs === undefined) throw new Error("Debian's postgresql-15 is needed, for pg_waldump as well")
  const settings = { max_wal_size: '8GB', wal_keep_size: '8GB', synchronous_commit: 'off' }
  const cluster = await createCluster(programs, { settings })
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
  writeFileSync(join(directory, 'PG_VERSION'), '15\n')
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "8a744722" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "${start}", "End-LSN": "${end}" }
],
`
  const checksum = createHash('sha256').update(body).digest('hex')
  writeFileSync(join(directory, 'backup_manifest'), `${body}"Manifest-Checksum": "${checksum}"}\n`)
}
