import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { appendSettings, Cluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import type { PostgresPrograms } from '../../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'

/** Where a backup goes that a server is to be started on. */
export interface RestoreSite {
  readonly scratch: ScratchDirectory
  /** For `--pgdata`. */
  readonly directory: string
}

export function createRestoreSite(): RestoreSite {
  const scratch = createScratchDirectory()
  return { scratch, directory: join(scratch.path, 'data') }
}

/**
 * Starts a server on a backup that was taken to this site, tablespaces and all, and waits until it is open for
 * writing, unless it is to be a standby. The caller
 * removes it.
 */
export async function startRestored(
  programs: PostgresPrograms,
  { scratch }: RestoreSite,
  becomes: 'primary' | 'standby' = 'primary',
): Promise<Cluster> {
  const cluster = new Cluster(programs, scratch)
  await appendSettings(cluster, { unix_socket_directories: scratch.path })
  giveTo(cluster, scratch.path)
  await cluster.start()
  if (becomes === 'standby') return cluster
  await poll('the end of recovery', async () => {
    const [row] = await cluster.sql<{ recovers: boolean }>('SELECT pg_is_in_recovery() AS recovers')
    return row?.recovers === false
  })
  return cluster
}

/** The backup was made by ourselves, and the server runs as another user. */
function giveTo({ user }: Cluster, path: string): void {
  if (user === undefined) return
  const { status } = spawnSync('chown', ['-R', `${user.uid}:${user.gid}`, path])
  if (status !== 0) throw new Error(`could not give "${path}" to ${user.name}`)
}

/** What the server said while it recovered. */
export async function readServerLog(cluster: Cluster): Promise<string> {
  return await readFile(cluster.logFile, 'utf8')
}

/** Checks every heap and every B-tree, the latter also for rows that they lack. */
export async function expectSound(cluster: Cluster, database: string): Promise<number> {
  await cluster.sql('CREATE EXTENSION IF NOT EXISTS amcheck', database)
  // PostgreSQL 13 can check heaps only through their indexes.
  if (cluster.programs.major >= 14) await expectSoundHeaps(cluster, database)
  const checked = await cluster.sql(
    `SELECT bt_index_check(c.oid, heapallindexed => true) FROM pg_class AS c
       JOIN pg_am AS a ON a.oid = c.relam
       JOIN pg_index AS i ON i.indexrelid = c.oid
      WHERE c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid AND c.relpersistence = 'p'`,
    database,
  )
  return checked.length
}

async function expectSoundHeaps(cluster: Cluster, database: string): Promise<void> {
  const faults = await cluster.sql<{ relation: string; msg: string }>(
    `SELECT c.oid::regclass::text AS relation, v.msg FROM pg_class AS c, verify_heapam(c.oid) AS v
      WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p'`,
    database,
  )
  if (faults.length > 0) throw new Error(`amcheck: ${JSON.stringify(faults)}`)
}
