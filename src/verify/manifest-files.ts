import { badManifestError } from '../manifest/manifest-error.js'
import { duplicatePathnameError, scanManifest } from '../manifest/read-manifest.js'
import type { ManifestSummary } from '../manifest/manifest-parser.js'
import type { ManifestFile, WalRange } from '../manifest/model.js'
import type { Pathname } from '../files/pathname.js'

/** A manifest in the form in which a directory is compared with it. */
export interface ManifestContents {
  readonly path: string
  readonly summary: ManifestSummary
  readonly files: ReadonlyMap<Pathname, ManifestFile>
  /** The sum of the files' sizes. */
  readonly bytes: number
  readonly walRanges: readonly WalRange[]
}

/** Reads the manifest; refuses one that lists a pathname twice. */
export async function loadManifest(path: string, signal: AbortSignal | undefined): Promise<ManifestContents> {
  const files = new Map<Pathname, ManifestFile>()
  const walRanges: WalRange[] = []
  let bytes = 0
  const summary = await scanManifest(
    path,
    {
      file: (file) => {
        if (files.has(file.pathname)) throw duplicatePathnameError(file.pathname)
        files.set(file.pathname, file)
        bytes += file.size
        if (!Number.isSafeInteger(bytes)) throw badManifestError('the sizes of all files exceed 2^53 bytes')
      },
      walRange: (range) => walRanges.push(range),
    },
    signal,
  )
  return { path, summary, files, bytes, walRanges }
}
