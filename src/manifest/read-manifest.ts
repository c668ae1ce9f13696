import { isPbManifestError, PbManifestError } from '../errors.js'
import { WayGiver } from '../files/give-way.js'
import { NotARegularFileError, type OpenedFile, openRegularFile } from '../files/open-regular-file.js'
import { displayPathname } from '../files/pathname.js'
import { readOpenedFile } from '../files/read-opened-file.js'
import { ioError } from '../files/system-error.js'
import { createSha256Streams } from './checksum/sha256-stream.js'
import { badManifestError } from './manifest-error.js'
import { type ManifestHandler, ManifestParser, type ManifestSummary } from './manifest-parser.js'
import type { BackupManifest, ManifestFile, WalRange } from './model.js'

const CHUNK_BYTES = 256 * 1024

/** A manifest's file, open for reading. */
export interface ManifestSource {
  readonly path: string
  readonly file: OpenedFile
}

/**
 * Opens a manifest's file. {@link scanManifest} reads and closes it.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function openManifest(path: string): ManifestSource {
  try {
    return { path, file: openRegularFile(path) }
  } catch (error) {
    throw explain(path, error)
  }
}

export interface ScanManifestOptions {
  readonly signal?: AbortSignal
  /** Is called after each piece of the file, when the handler has heard of all entries that are whole. */
  readonly onChunk?: () => void
}

/**
 * Reads a manifest's file to its end, and tells its parts as they are read.
 *
 * Memory does not grow with the file. What the handler hears is to be trusted only when this has resolved, because
 * the manifest's own checksum comes last.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO` or `ABORTED`
 */
export async function scanManifest(
  source: ManifestSource,
  handler: ManifestHandler,
  options: ScanManifestOptions = {},
): Promise<ManifestSummary> {
  const streams = createSha256Streams(source.file.stats.size)
  const parser = new ManifestParser(handler, streams.create())
  try {
    const way = new WayGiver(options.signal)
    for (const chunk of readOpenedFile(source.file, Buffer.allocUnsafe(CHUNK_BYTES))) {
      parser.write(chunk)
      options.onChunk?.()
      if (way.isDue) await way.giveWay()
    }
    return parser.end()
  } catch (error) {
    throw explain(source.path, error)
  } finally {
    await streams.close()
  }
}

/**
 * Reads a whole manifest into memory.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST` (also for a pathname that stands twice), `IO` or `ABORTED`
 * @example
 * ```ts
 * import { readManifest } from 'pbmanifest'
 *
 * const manifest = await readManifest('/backups/monday/backup_manifest')
 * const bytes = manifest.files.reduce((sum, file) => sum + file.size, 0)
 * console.log(`${manifest.files.length} files, ${bytes} bytes`)
 * ```
 */
export async function readManifest(
  path: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<BackupManifest> {
  const files: ManifestFile[] = []
  const walRanges: WalRange[] = []
  const pathnames = new Set<string>()
  const handler: ManifestHandler = {
    file: (file) => {
      if (pathnames.has(file.pathname)) throw duplicatePathnameError(file.pathname)
      pathnames.add(file.pathname)
      files.push(file)
    },
    walRange: (range) => walRanges.push(range),
  }
  const summary = await scanManifest(openManifest(path), handler, options)
  return { ...summary, files, walRanges }
}

/** The error for a pathname that a manifest lists twice; for handlers of {@link scanManifest} to throw. */
export function duplicatePathnameError(pathname: string): PbManifestError {
  return badManifestError(`duplicate path name in backup manifest: "${displayPathname(pathname)}"`)
}

/** Adds the file's name; behind what is wrong with it, because existing scripts look for how the line begins. */
function explain(path: string, error: unknown): unknown {
  if (isPbManifestError(error) && error.code === 'BAD_MANIFEST') {
    return new PbManifestError('BAD_MANIFEST', `${error.message} (in "${path}")`, { cause: error.cause })
  }
  if (error instanceof NotARegularFileError) {
    return new PbManifestError('IO', `could not open file "${path}": it is not a regular file`)
  }
  return ioError(`could not open file "${path}"`, error)
}
