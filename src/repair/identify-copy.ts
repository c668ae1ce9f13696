import { existsSync } from 'node:fs'
import { isPbManifestError } from '../errors.js'
import type { ManifestSummary } from '../manifest/manifest-parser.js'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { readControlFile } from '../manifest/data-directory-files.js'
import type { VerifiedManifest } from '../verify/report.js'
import type { CopyIdentity } from './report.js'

/**
 * Finds out of which backup a copy is, by its manifest and pg_control. That is to be told, no more: each file is compared with the
 * manifest that counts.
 *
 * @throws {@link PbManifestError} `ABORTED`
 */
export async function identifyCopy(
  directory: string,
  manifest: VerifiedManifest,
  signal: AbortSignal | undefined,
): Promise<CopyIdentity> {
  const summary = await readSummary(`${directory}/backup_manifest`, signal)
  if (summary?.checksum === manifest.checksum) return { directory, backup: 'same' }
  const other = summary?.systemIdentifier ?? systemIdentifierIn(directory)
  const isOtherCluster =
    other !== undefined &&
    manifest.systemIdentifier !== null &&
    other.toString() !== manifest.systemIdentifier
  if (isOtherCluster) return { directory, backup: 'other-cluster' }
  return { directory, backup: summary === undefined ? 'unknown' : 'other-backup' }
}

async function readSummary(
  path: string,
  signal: AbortSignal | undefined,
): Promise<ManifestSummary | undefined> {
  if (!existsSync(path)) return undefined
  try {
    const handler = { file: () => {}, walRange: () => {} }
    return await scanManifest(await openManifest(path), handler, { ...(signal && { signal }) })
  } catch (error) {
    if (!isPbManifestError(error) || error.code === 'ABORTED') throw error
    return undefined
  }
}

function systemIdentifierIn(directory: string): bigint | undefined {
  try {
    return readControlFile(directory)?.systemIdentifier
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}
