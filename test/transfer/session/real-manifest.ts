import { readFileSync } from 'node:fs'
import type { BackupManifest } from '../../../src/manifest/model.js'
import { pgBaseBackup } from '../../helpers/base-backup.js'
import type { Cluster } from '../../helpers/cluster.js'
import { parseBytes } from '../../manifest/parse-bytes.js'

/** The manifest that the server itself makes. */
export async function realManifest(cluster: Cluster, name: string): Promise<BackupManifest> {
  const backup = await pgBaseBackup(cluster, { name })
  return parseBytes(readFileSync(backup.manifestPath))
}
