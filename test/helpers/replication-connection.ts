import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, type ClientConfig } from 'pg'
import { type BackupArchive, BaseBackupStream } from './base-backup-stream.js'
import type { Cluster } from './cluster.js'
import { replicationCommand } from './replication-command.js'

export interface StreamedBackupOptions {
  /** Names the folder of the archives and the backup's label; once per cluster. */
  readonly label: string
  /** Default `yes`. */
  readonly manifest?: 'yes' | 'force-encode' | 'no'
  /** `CRC32C` (the server's default), `SHA224` ... or `NONE`. */
  readonly manifestChecksums?: string
  /** The manifest of an earlier backup, uploaded first: this one is then incremental. Needs `summarize_wal`. */
  readonly incrementalFrom?: Buffer
  /** Whether the WAL that the backup needs goes into `base.tar`. Default true. */
  readonly wal?: boolean
  /** Whether there is a tablespace_map, as in what pg_basebackup writes in tar format. */
  readonly tablespaceMap?: boolean
}

/** What the replication command BASE_BACKUP gave, as it gave it. LSNs as text, for example `0/2000028`. */
export interface StreamedBackup {
  readonly startLsn: string
  readonly startTimeline: number
  readonly endLsn: string
  readonly endTimeline: number
  /** The user tablespaces. */
  readonly tablespaces: readonly { readonly oid: string; readonly location: string }[]
  readonly archives: readonly BackupArchive[]
  /** Empty with `manifest: 'no'`. */
  readonly manifest: Buffer
}

/** A connection that takes replication commands and SQL. The caller ends it. */
export async function connectForReplication(cluster: Cluster): Promise<Client> {
  // The types of `pg` do not know this option of its.
  const config: ClientConfig & { replication: string } = {
    ...cluster.connectionOptions(),
    replication: 'database',
  }
  const client = new Client(config)
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Sends the manifest of an earlier backup, the base of an incremental BASE_BACKUP on the same connection. */
export async function uploadManifest(connection: Client, bytes: Buffer): Promise<void> {
  await replicationCommand(connection, 'UPLOAD_MANIFEST', { copyIn: bytes })
}

/**
 * Takes a base backup over the replication protocol of PostgreSQL 15 and newer, as pg_basebackup does, which for 18 npm
 * does not have.
 */
export async function takeBaseBackup(
  cluster: Cluster,
  options: StreamedBackupOptions,
): Promise<StreamedBackup> {
  const connection = await connectForReplication(cluster)
  try {
    if (options.incrementalFrom !== undefined) await uploadManifest(connection, options.incrementalFrom)
    return await streamBackup(connection, options, join(cluster.scratch.path, 'archives', options.label))
  } finally {
    await connection.end()
  }
}

async function streamBackup(
  connection: Client,
  options: StreamedBackupOptions,
  directory: string,
): Promise<StreamedBackup> {
  await mkdir(directory, { recursive: true })
  const stream = new BaseBackupStream(directory)
  try {
    const { resultSets, tags } = await replicationCommand(connection, baseBackupCommand(options), {
      onCopyData: (message) => stream.accept(message),
    })
    if (tags.at(-1) !== 'BASE_BACKUP')
      throw new Error(`the base backup ended early, after ${tags.join(', ')}`)
    const [start, tablespaces, end] = resultSets
    return {
      startLsn: start?.[0]?.[0] ?? '',
      startTimeline: Number(start?.[0]?.[1]),
      endLsn: end?.[0]?.[0] ?? '',
      endTimeline: Number(end?.[0]?.[1]),
      // The last row, without an oid, is the data directory.
      tablespaces: (tablespaces ?? []).flatMap(([oid, location]) =>
        typeof oid === 'string' && typeof location === 'string' ? [{ oid, location }] : [],
      ),
      archives: stream.archives,
      manifest: stream.manifest,
    }
  } finally {
    stream.close()
  }
}

function baseBackupCommand(options: StreamedBackupOptions): string {
  const { label, manifest = 'yes', manifestChecksums, incrementalFrom, wal = true, tablespaceMap } = options
  const list = [
    `LABEL '${label.replaceAll("'", "''")}'`,
    `CHECKPOINT 'fast'`,
    `WAL ${String(wal)}`,
    `MANIFEST '${manifest}'`,
    ...(manifestChecksums === undefined ? [] : [`MANIFEST_CHECKSUMS '${manifestChecksums}'`]),
    ...(incrementalFrom === undefined ? [] : ['INCREMENTAL']),
    ...(tablespaceMap === true ? ['TABLESPACE_MAP'] : []),
  ]
  return `BASE_BACKUP (${list.join(', ')})`
}
