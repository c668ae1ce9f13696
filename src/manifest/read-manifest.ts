import { closeSync, readSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { throwIfAborted, Yielder } from '../files/yielder.js'
import {
  openError,
  type OpenedFile,
  openQuietly,
  openRegularFile,
  readOpenedFile,
} from '../files/open-regular-file.js'
import { displayPathname } from '../files/pathname.js'
import { createSha256Streams } from './checksum/background-sha256.js'
import { inlineStreams } from './checksum/sha256-stream.js'
import { badManifestError } from './manifest-error.js'
import { ManifestParser, type ManifestSummary } from './manifest-parser.js'
import type { ManifestHandler } from './manifest-structure.js'
import type { BackupManifest, ManifestFile, WalRange } from './model.js'

/** A manifest is read in pieces of so many bytes. */
export const MANIFEST_CHUNK_BYTES: number = 256 * 1024

/** A manifest, opened for reading. */
export interface ManifestSource {
  readonly path: string
  /** Its bytes. */
  readonly size: number
  /** Its bytes, from the first to the last; can be taken once. */
  readonly chunks: () => Iterable<Buffer>
}

export interface OpenManifestOptions {
  /** Whether to read a pipe, into memory: what a user names may be one, as a shell makes it of `<(zcat FILE)`. Default false. */
  readonly mayBePipe?: boolean
  readonly signal?: AbortSignal | undefined
}

/** Of a file that is larger, the first bytes are looked at before anything is made ready for it. */
const MAX_UNSEEN_BYTES = 64 * 1024 * 1024

/**
 * Opens a manifest; {@link scanManifest} reads and closes it.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`; `BAD_MANIFEST` when it is large and does not begin as a manifest does
 */
export async function openManifest(path: string, options: OpenManifestOptions = {}): Promise<ManifestSource> {
  try {
    if (options.mayBePipe === true && statSync(path).isFIFO()) return await readPipe(path, options.signal)
    const file = openRegularFile(path)
    const { size } = file.stats
    if (size > MAX_UNSEEN_BYTES) requireManifest(file)
    return { path, size, chunks: () => readOpenedFile(file, Buffer.allocUnsafe(MANIFEST_CHUNK_BYTES)) }
  } catch (error) {
    throwIfAborted(options.signal)
    throw explain(path, error)
  }
}

async function readPipe(path: string, signal: AbortSignal | undefined): Promise<ManifestSource> {
  // Not as a file: a thread would wait in `open` or `read`, where no signal ends it, for a writer that does not come.
  const pipe = new Socket({ fd: openQuietly(path), readable: true, writable: false })
  if (signal !== undefined) addAbortSignal(signal, pipe)
  return await readIntoMemory(path, pipe as AsyncIterable<Buffer>)
}

/**
 * Reads a manifest that comes from elsewhere into memory; {@link scanManifest} takes it.
 *
 * @param path - what it is called in messages
 * @throws {@link PbManifestError} `ABORTED`, `BAD_MANIFEST`, and what the chunks throw
 */
export async function openManifestStream(
  path: string,
  chunks: AsyncIterable<Buffer>,
  signal: AbortSignal | undefined,
): Promise<ManifestSource> {
  try {
    return await readIntoMemory(path, chunks)
  } catch (error) {
    throwIfAborted(signal)
    throw explain(path, error)
  }
}

async function readIntoMemory(path: string, stream: AsyncIterable<Buffer>): Promise<ManifestSource> {
  const chunks: Buffer[] = []
  const parser = new ManifestParser(noHandler, inlineStreams.create())
  let size = 0
  for await (const chunk of stream) {
    // What is no manifest may have no end.
    if (size < MANIFEST_CHUNK_BYTES) parser.write(chunk)
    chunks.push(chunk)
    size += chunk.length
  }
  return { path, size, chunks: () => chunks }
}

function requireManifest({ descriptor }: OpenedFile): void {
  const start = Buffer.alloc(MANIFEST_CHUNK_BYTES)
  const length = readSync(descriptor, start, 0, start.length, 0)
  try {
    new ManifestParser(noHandler, inlineStreams.create()).write(start.subarray(0, length))
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

const noHandler: ManifestHandler = { file: () => {}, walRange: () => {} }

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
  const streams = createSha256Streams(source.size)
  const parser = new ManifestParser(handler, streams.create())
  try {
    const yielder = new Yielder(options.signal)
    for (const chunk of source.chunks()) {
      parser.write(chunk)
      options.onChunk?.()
      if (yielder.isDue) await yielder.yield()
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
  const summary = await scanManifest(await openManifest(path), handler, options)
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
  return openError(path, error)
}
