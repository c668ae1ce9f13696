import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from 'pg'
import { parseLsn } from '../src/postgres/lsn.js'
import type { Cluster } from '../test/helpers/cluster.js'
import { copyDataDirectory } from './copy-data-directory.js'
import { say } from './shell.js'

export interface LowLevelBackup {
  readonly startLsn: string
  readonly endLsn: string
  readonly timeline: number
}

export interface LowLevelBackupOptions {
  /** Where the copy of the data directory goes. */
  readonly directory: string
  /** Where the copies of the tablespaces go. */
  readonly tablespaces: string
  /** What happens on the server while the files are copied. */
  readonly meanwhile: () => Promise<void>
}

/**
 * Takes a backup by the low-level API of PostgreSQL: backup mode on, copy the files, backup mode off, and then the
 * WAL that was written in between. It has no manifest.
 *
 * @see https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
 */
export async function takeLowLevelBackup(
  cluster: Cluster,
  options: LowLevelBackupOptions,
): Promise<LowLevelBackup> {
  const { directory, tablespaces, meanwhile } = options
  // Backup mode belongs to this session and ends with it.
  const session = await cluster.client()
  try {
    const startLsn = await startBackup(session)
    const from = cluster.dataDirectory
    const plan = { from, to: directory, tablespaces, majorVersion: cluster.programs.major }
    await Promise.all([copyDataDirectory(plan), meanwhile()])
    const { endLsn, label } = await stopBackup(session)
    await writeFile(join(directory, 'backup_label'), label)
    const timeline = Number(/^START TIMELINE: (\d+)$/m.exec(label)?.[1])
    await copyWal(session, { from, to: directory, startLsn, endLsn, timeline })
    return { startLsn, endLsn, timeline }
  } finally {
    await session.end()
  }
}

async function startBackup(session: Client): Promise<string> {
  const text = `SELECT pg_backup_start('demo', fast => true)::text AS lsn`
  say(`postgres=# ${text};`)
  const { rows } = await session.query<{ lsn: string }>(text)
  const [row] = rows
  if (row === undefined) throw new Error('pg_backup_start returned nothing')
  say(row.lsn)
  return row.lsn
}

async function stopBackup(session: Client): Promise<{ endLsn: string; label: string }> {
  const text = `SELECT lsn::text, labelfile AS label FROM pg_backup_stop(wait_for_archive => false)`
  say(`postgres=# ${text};`)
  const { rows } = await session.query<{ lsn: string; label: string }>(text)
  const [row] = rows
  if (row === undefined) throw new Error('pg_backup_stop returned nothing')
  say(`${row.lsn}\n${row.label.trimEnd()}`)
  return { endLsn: row.lsn, label: row.label }
}

interface WalNeeded {
  readonly from: string
  readonly to: string
  readonly startLsn: string
  readonly endLsn: string
  readonly timeline: number
}

/** The server keeps these segments: the demo gave it a `wal_keep_size`. A real tool would hold a replication slot. */
async function copyWal(session: Client, needed: WalNeeded): Promise<void> {
  const { rows } = await session.query<{ size: string }>(
    `SELECT setting AS size FROM pg_settings WHERE name = 'wal_segment_size'`,
  )
  for (const segment of walSegments(needed, BigInt(rows[0]?.size ?? 0))) {
    await copyFile(join(needed.from, 'pg_wal', segment), join(needed.to, 'pg_wal', segment))
  }
}

/** The names of all segments with a byte between the two LSNs. */
function walSegments({ startLsn, endLsn, timeline }: WalNeeded, size: bigint): readonly string[] {
  const start = parseLsn(startLsn)
  const end = parseLsn(endLsn)
  if (start === undefined || end === undefined) throw new Error(`not LSNs: "${startLsn}", "${endLsn}"`)
  const perLogFile = 0x1_0000_0000n / size
  const names: string[] = []
  for (let segment = start / size; segment <= (end - 1n) / size; segment += 1n) {
    names.push(`${hex(BigInt(timeline))}${hex(segment / perLogFile)}${hex(segment % perLogFile)}`)
  }
  return names
}

function hex(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0')
}
