import type { Client } from 'pg'
import type {
  BackupEnd,
  BackupMode,
  BackupStart,
  ClusterFacts,
  ServerDirectory,
  WalSummarizerState,
} from '../../src/transfer/cluster-files/cluster-files.js'
import type { WalSenderSearch } from '../../src/transfer/connection/gate/connect-replication.js'
import { parseControlFile } from '../../src/postgres/control-file.js'
import { parseLsn } from '../../src/postgres/lsn.js'
import type { Cluster } from './cluster.js'

/** Backup mode of a primary of PostgreSQL 15 or newer, over one connection, in as few words as possible. */
export class PlainBackupMode implements BackupMode {
  readonly #cluster: Cluster
  readonly #client: Client
  /** Never happens here. */
  readonly lost: Promise<never> = new Promise(() => {})

  private constructor(cluster: Cluster, client: Client) {
    this.#cluster = cluster
    this.#client = client
  }

  static async open(cluster: Cluster): Promise<PlainBackupMode> {
    return new PlainBackupMode(cluster, await cluster.client())
  }

  async facts(): Promise<ClusterFacts> {
    const { rows } = await this.#client.query<{ bytes: Buffer }>(
      `SELECT pg_read_binary_file('global/pg_control') AS bytes`,
    )
    const control = parseControlFile(rows[0]?.bytes ?? Buffer.alloc(0), 'pg_control')
    return {
      majorVersion: this.#cluster.programs.major,
      systemIdentifier: control.systemIdentifier,
      walSegmentSize: control.walSegmentSize,
      hasDataChecksums: control.dataChecksumVersion !== 0,
      hasGroupAccess: false,
      isInRecovery: false,
    }
  }

  findWalSender(): Promise<WalSenderSearch> {
    return Promise.resolve({ found: false, server: 'nobody asks here' })
  }

  async start({ label, fast }: { readonly label: string; readonly fast: boolean }): Promise<BackupStart> {
    const { rows } = await this.#client.query<{ lsn: string }>(
      'SELECT pg_backup_start($1, $2)::text AS lsn',
      [label, fast],
    )
    return { startLsn: parseLsn(rows[0]?.lsn ?? '') ?? 0n, startTimeline: 1 }
  }

  async stop({ waitForArchive }: { readonly waitForArchive: boolean }): Promise<BackupEnd> {
    const { rows } = await this.#client.query<{ lsn: string; labelfile: string; spcmapfile: string }>(
      'SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop($1)',
      [waitForArchive],
    )
    return {
      endLsn: parseLsn(rows[0]?.lsn ?? '') ?? 0n,
      endTimeline: 1,
      backupLabel: Buffer.from(rows[0]?.labelfile ?? ''),
      tablespaceMap: Buffer.from(rows[0]?.spcmapfile ?? ''),
    }
  }

  async directories(): Promise<readonly ServerDirectory[]> {
    const { rows } = await this.#client.query<{ oid: string }>(
      `SELECT oid::text FROM pg_tablespace WHERE oid NOT IN (1663, 1664)`,
    )
    return rows.map(({ oid }) => ({ tablespace: Number(oid), database: undefined }))
  }

  async timelineHistory(): Promise<undefined> {
    return await Promise.resolve(undefined)
  }

  /** Its servers are too old for it. */
  async walSummarizer(): Promise<WalSummarizerState> {
    return await Promise.resolve({ isOn: false, summarizedLsn: 0n, pendingLsn: 0n })
  }

  async abandon(): Promise<void> {
    await this.close()
  }

  async close(): Promise<void> {
    await this.#client.end()
  }
}
