import { badManifestError } from '../manifest/manifest-error.js'
import type { ManifestSummary } from '../manifest/manifest-parser.js'
import { toManifestFile } from '../manifest/server-layout.js'
import type { WalRange } from '../manifest/model.js'
import { duplicatePathnameError, type ManifestSource, scanManifest } from '../manifest/read-manifest.js'
import type { FileTable } from './file-table/file-table.js'

/** A manifest in the form in which a directory is compared with it. */
export interface ManifestContents {
  readonly path: string
  readonly summary: ManifestSummary
  readonly table: FileTable
  /** The sum of the files' sizes. */
  readonly bytes: number
  readonly filesWithoutChecksum: number
  readonly walRanges: readonly WalRange[]
}

/**
 * Reads the manifest into the table; refuses one that lists a pathname twice.
 *
 * @param onRows - is told of new rows, from the first to before the last, while the rest is still to be read. The
 * manifest's own checksum is not known yet: what is done with them must be harmless, and forgotten when this fails.
 */
export async function loadManifest(
  source: ManifestSource,
  table: FileTable,
  onRows: (first: number, end: number) => void,
  signal: AbortSignal | undefined,
): Promise<ManifestContents> {
  const walRanges: WalRange[] = []
  let bytes = 0
  let filesWithoutChecksum = 0
  let told = 0
  const tellRows = (): void => {
    if (told < table.rows) onRows(told, table.rows)
    told = table.rows
  }
  const count = (size: number, hasChecksum: boolean): void => {
    bytes += size
    if (!hasChecksum) filesWithoutChecksum++
    if (!Number.isSafeInteger(bytes)) throw badManifestError('the sizes of all files exceed 2^53 bytes')
  }
  const summary = await scanManifest(
    source,
    {
      file: (file) => {
        if (!table.add(file)) throw duplicatePathnameError(file.pathname)
        count(file.size, file.checksum !== undefined)
      },
      plainFile: (entry) => {
        if (!table.addPlain(entry)) throw duplicatePathnameError(toManifestFile(entry).pathname)
        count(entry.size, entry.algorithm !== undefined)
      },
      walRange: (range) => walRanges.push(range),
    },
    { ...(signal && { signal }), onChunk: tellRows },
  )
  tellRows()
  return { path: source.path, summary, table, bytes, filesWithoutChecksum, walRanges }
}
