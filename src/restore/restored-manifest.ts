import { rename } from 'node:fs/promises'
import { syncDirectory, writeNewFile } from '../files/durable-file.js'
import type { Pathname } from '../files/pathname.js'
import { ioError } from '../files/system-error.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { UNFINISHED_MANIFEST } from '../manifest/contents/made-by-backup.js'
import { formatManifestFile } from '../manifest/manifest-parts.js'
import { ManifestOutput } from '../manifest/merge/manifest-output.js'
import type { ManifestFile } from '../manifest/model.js'
import { scanManifest } from '../manifest/read-manifest.js'
import { TABLESPACE_MAP } from '../postgres/data-directory.js'
import { nearestVersion } from '../postgres/versions.js'
import type { OpenedBackup } from './open-backup.js'

/** How the manifest of what was restored differs from that of the backup. */
export interface ManifestChange {
  /** Whether it has no tablespace_map. */
  readonly leavesMapOut: boolean
  /** By which its checksums are; `undefined`: by those of the backup's. */
  readonly algorithm: ChecksumAlgorithm | undefined
  readonly newChecksums: ReadonlyMap<Pathname, string>
  readonly majorVersion: number | undefined
}

/**
 * Writes the manifest, under the name that it has until all else is done.
 *
 * @returns its own checksum
 * @throws {@link PbManifestError} `IO`
 */
export async function writeManifest(
  { manifest, manifestChunks, hasGroupAccess }: OpenedBackup,
  directory: string,
  change: ManifestChange,
  { sync, signal }: { readonly sync: boolean; readonly signal: AbortSignal },
): Promise<string> {
  const path = `${directory}/${UNFINISHED_MANIFEST}`
  if (!change.leavesMapOut && change.algorithm === undefined) {
    await writeNewFile(path, manifestChunks, { mode: hasGroupAccess ? 0o640 : 0o600, sync })
    return manifest.summary.checksum
  }
  const { version, systemIdentifier } = manifest.summary
  const output = await ManifestOutput.create(path, { version, systemIdentifier })
  try {
    const lines: Buffer[] = []
    const flush = async (): Promise<void> => {
      for (const bytes of lines.splice(0)) {
        output.addLine({ bytes, start: 0, end: bytes.length })
        await output.makeRoom()
      }
    }
    const size = manifestChunks.reduce((sum, chunk) => sum + chunk.length, 0)
    // Piece by piece, as the handler cannot wait.
    const chunks = function* (): Generator<Buffer, void, undefined> {
      yield* manifestChunks
    }
    await scanManifest(
      { path: manifest.path, size, chunks },
      {
        file: (file) => {
          if (change.leavesMapOut && file.pathname === TABLESPACE_MAP) return
          lines.push(Buffer.from(formatManifestFile(withChecksum(file, change))))
        },
        walRange: () => {},
      },
      { signal },
    )
    await flush()
    return await output.commit(manifest.walRanges, nearestVersion(change.majorVersion ?? 0).lsnDigits)
  } catch (error) {
    await output.discard()
    throw error
  }
}

function withChecksum(file: ManifestFile, { algorithm, newChecksums }: ManifestChange): ManifestFile {
  if (algorithm === undefined) return file
  if (algorithm === 'NONE') return { ...file, checksum: undefined }
  const hex = newChecksums.get(file.pathname)
  return hex === undefined ? file : { ...file, checksum: { algorithm, hex } }
}

/** Gives the manifest its name: from now on it is a whole backup. @throws {@link PbManifestError} `IO` */
export async function nameManifest(directory: string, sync: boolean): Promise<void> {
  try {
    await rename(`${directory}/${UNFINISHED_MANIFEST}`, `${directory}/backup_manifest`)
    if (sync) await syncDirectory(directory)
  } catch (error) {
    throw ioError(`could not rename file "${UNFINISHED_MANIFEST}" to "backup_manifest"`, error)
  }
}
