import { ManifestParser } from '../../src/manifest/manifest-parser.js'
import type { BackupManifest, ManifestFile, WalRange } from '../../src/manifest/model.js'

/**
 * Parses a manifest that is in memory.
 *
 * @param chunkBytes - how many bytes the parser gets at a time; all of them at once when left out
 */
export function parseBytes(bytes: Buffer, chunkBytes: number = bytes.length || 1): BackupManifest {
  const files: ManifestFile[] = []
  const walRanges: WalRange[] = []
  const parser = new ManifestParser({
    file: (file) => files.push(file),
    walRange: (range) => walRanges.push(range),
  })
  for (let at = 0; at < bytes.length; at += chunkBytes) parser.write(bytes.subarray(at, at + chunkBytes))
  return { ...parser.end(), files, walRanges }
}

/** The code and message of the error that parsing these bytes ends with; the manifest when it does not. */
export function refusal(bytes: Buffer, chunkBytes?: number): unknown {
  try {
    return parseBytes(bytes, chunkBytes)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    return `${String(error.code)}: ${error.message}`
  }
}
