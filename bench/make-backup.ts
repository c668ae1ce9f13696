import { createCluster, type Cluster } from '../test/helpers/cluster.js'
import { pgBaseBackup } from '../test/helpers/base-backup.js'
import { type Peer, peersWith } from './peers.js'

/** How a benchmark's backup is made. */
export interface BackupShape {
  /** About how many files. */
  readonly files: number
  /** About how many bytes. */
  readonly bytes: number
  readonly checksumAlgorithm: string
  /** Whether the data pages of the cluster have checksums. Default: no. */
  readonly dataChecksums?: boolean
}

/** Databases are made as copies of one, which is much quicker than to make each table. */
const DATABASES = 20
const FILES_OF_EMPTY_DATABASE = 300

/**
 * Takes a real backup of a cluster of many small files and some large ones: one of the oldest server at hand, whose manifest
 * all peers can read.
 *
 * @returns the cluster, whose scratch directory holds the backup, and the backup's directory
 */
export async function makeBackup(
  shape: BackupShape,
  peers: readonly Peer[],
): Promise<{ cluster: Cluster; directory: string }> {
  const [newest, ...others] = peersWith(peers, 'initdb', 'postgres', 'pg_basebackup')
  const cluster = await createCluster(others.at(-1) ?? newest, {
    settings: { max_wal_size: '8GB', autovacuum: 'off' },
    dataChecksums: shape.dataChecksums ?? false,
  })
  await fillTemplate(cluster, shape)
  await cluster.sql('CHECKPOINT')
  for (let number = 0; number < DATABASES; number++) {
    await cluster.sql(`CREATE DATABASE copy${number} TEMPLATE model STRATEGY file_copy`)
  }
  const checksums = `--manifest-checksums=${shape.checksumAlgorithm}`
  const { directory } = await pgBaseBackup(cluster, { name: 'bench', args: [checksums] })
  await cluster.stop()
  return { cluster, directory }
}

/** A table of text has three files: its own, that of its TOAST table, and that of the TOAST table's index. */
async function fillTemplate(cluster: Cluster, { files, bytes }: BackupShape): Promise<void> {
  const tables = Math.max(1, Math.floor((files / DATABASES - FILES_OF_EMPTY_DATABASE) / 3))
  const bytesOfDatabase = bytes / DATABASES
  const rowsOfSmall = 60
  const smallBytes = tables * (Math.ceil((rowsOfSmall * 130) / 8192) * 8192 + 8192)
  const rowsOfLarge = Math.max(1, Math.floor((bytesOfDatabase - smallBytes) / 3 / 1030))
  await cluster.sql('CREATE DATABASE model')
  for (let first = 0; first < tables; first += 500) {
    await cluster.sql(
      `DO $$ BEGIN FOR n IN ${first}..${Math.min(first + 500, tables) - 1} LOOP
         EXECUTE format('CREATE TABLE t%s AS SELECT i, repeat(md5(i::text), 3) AS filler FROM generate_series(1, ${rowsOfSmall}) i', n);
       END LOOP; END $$`,
      'model',
    )
  }
  for (const name of ['a', 'b', 'c']) {
    await cluster.sql(
      `CREATE TABLE large_${name} AS SELECT i, repeat(md5(i::text), 31) AS filler FROM generate_series(1, ${rowsOfLarge}) i`,
      'model',
    )
  }
}
