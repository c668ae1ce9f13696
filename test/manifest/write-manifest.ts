import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatManifestFile } from '../../src/manifest/manifest-parts.js'
import { ManifestOutput } from '../../src/manifest/merge/manifest-output.js'
import type { BackupManifest } from '../../src/manifest/model.js'

/** Writes a manifest and returns its bytes. Its checksum is worked out anew. */
export async function writeManifest(
  directory: string,
  manifest: Omit<BackupManifest, 'checksum'>,
): Promise<Buffer> {
  const path = join(directory, 'written_manifest')
  const output = await ManifestOutput.create(path, manifest)
  for (const file of manifest.files) {
    const bytes = Buffer.from(formatManifestFile(file))
    output.addLine({ bytes, start: 0, end: bytes.length })
    await output.makeRoom()
  }
  await output.commit(manifest.walRanges, 1)
  return readFileSync(path)
}
