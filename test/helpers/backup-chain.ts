import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from './cluster.js'
import type { PlainBackup } from './plain-backup.js'
import { takeBaseBackup } from './replication-connection.js'
import { unpackBackup } from './unpack-backup.js'

/**
 * Takes a backup over the replication protocol and unpacks it, as pg_basebackup of 17 and later would.
 *
 * @param before - the backup that an incremental one builds on; `undefined` for a full one
 */
export async function takeUnpackedBackup(
  cluster: Cluster,
  label: string,
  before?: PlainBackup,
): Promise<PlainBackup> {
  const incrementalFrom = before && (await readFile(before.manifestPath))
  const streamed = await takeBaseBackup(cluster, { label, ...(incrementalFrom && { incrementalFrom }) })
  return await unpackBackup(streamed, join(cluster.scratch.path, 'unpacked', label))
}
