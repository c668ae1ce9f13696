import { throwIfAborted } from '../files/yielder.js'
import { displayPathname } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import type { FileHasher } from '../manifest/checksum/file-hasher.js'
import { type SourceFile, SourceReadError } from '../source/backup-source.js'
import type { Reason } from './report.js'
import type { ReplacementFile } from './replacement-file.js'
import { type RepairedDirectory, writeFailed } from './repaired-directory.js'

/** What a file of the copy has to be before it takes its place. */
export interface ExpectedContent {
  readonly pathname: SafePathname
  readonly size: number
  /** `undefined`: there is no checksum, and its size is enough. */
  readonly checksum: { readonly hasher: FileHasher; readonly hex: string } | undefined
  /**
   * Looks at what fits size and checksum; only for small files.
   *
   * @returns why it is not the right one after all
   */
  readonly accept?: ((content: Buffer) => Promise<Reason | undefined> | Reason | undefined) | undefined
}

/** Where a file goes, if anywhere. */
export interface Fetching {
  readonly target: RepairedDirectory
  /** Whether to write; else it is only looked whether that would succeed. */
  readonly writes: boolean
  readonly signal: AbortSignal | undefined
  readonly onBytes: (bytes: number) => void
}

/** A file of the copy that is good, and what is left to do. */
type Fetched = { readonly file: ReplacementFile | undefined } | { readonly reason: Reason }

/**
 * Puts a file of the copy in its place, when it is what it has to be: its bytes are compared while they are written to a
 * temporary file beside it, and only then take its name.
 *
 * @returns why it was not, or would not be, repaired
 * @throws {@link PbManifestError} `ABORTED`
 */
export async function repairFile(
  file: SourceFile,
  expected: ExpectedContent,
  fetching: Fetching,
): Promise<Reason | undefined> {
  const fetched = await fetchFile(file, expected, fetching)
  if ('reason' in fetched) return fetched.reason
  if (fetched.file === undefined) return undefined
  try {
    await fetching.target.put(expected.pathname, fetched.file)
    return undefined
  } catch (error) {
    await fetched.file.discard()
    return writeFailed(error)
  }
}

/**
 * The same, but for its last step: the file is good, durable, and still under its temporary name. The caller puts it in its
 * place, or discards it.
 *
 * @throws {@link PbManifestError} `ABORTED`
 */
export async function fetchFile(
  file: SourceFile,
  expected: ExpectedContent,
  fetching: Fetching,
): Promise<Fetched> {
  const { pathname, size } = expected
  const shown = displayPathname(pathname)
  if (file.type === 'absent') {
    return { reason: { kind: 'copy-missing', message: `"${shown}" is not in the copy either` } }
  }
  if (file.type === 'unreadable') {
    const message = `could not read "${shown}" of the copy: ${file.message}`
    return { reason: { kind: 'copy-unreadable', message } }
  }
  if (file.size !== size) return { reason: wrongSize(shown, file.size, size) }
  const obstacle = await fetching.target.makeRoomFor(pathname)
  if (obstacle !== undefined) return { reason: obstacle }
  let written: ReplacementFile | undefined
  let isGood = false
  try {
    if (fetching.writes) written = await fetching.target.create(pathname)
    const reason = await readContent(file, expected, written, fetching)
    if (reason !== undefined) return { reason }
    await written?.finish(file.modified)
    isGood = true
    return { file: written }
  } catch (error) {
    if (error instanceof LostCopyError) throw error.cause
    if (!(error instanceof SourceReadError)) return { reason: writeFailed(error) }
    const message = `could not read "${shown}" of the copy: ${error.message}`
    return { reason: { kind: 'copy-unreadable', message } }
  } finally {
    if (!isGood) await written?.discard()
  }
}

async function readContent(
  file: SourceFile & { readonly type: 'file' },
  { pathname, size, checksum, accept }: ExpectedContent,
  written: ReplacementFile | undefined,
  { signal, onBytes }: Fetching,
): Promise<Reason | undefined> {
  const shown = displayPathname(pathname)
  const kept: Buffer[] = []
  let bytes = 0
  checksum?.hasher.reset()
  for await (const chunk of chunksOf(file)) {
    throwIfAborted(signal)
    bytes += chunk.length
    if (bytes > size) break
    checksum?.hasher.update(chunk)
    if (accept !== undefined) kept.push(Buffer.from(chunk))
    await written?.write(chunk)
    onBytes(chunk.length)
  }
  if (bytes !== size) return wrongSize(shown, bytes, size)
  if (checksum !== undefined && checksum.hasher.digest() !== checksum.hex) {
    return { kind: 'copy-differs', message: `checksum mismatch for file "${shown}" of the copy, too` }
  }
  return await accept?.(Buffer.concat(kept))
}

/** Not this file alone, but the copy cannot be read any more. */
class LostCopyError extends Error {}

/** Tells what the copy fails with from what the target does. */
async function* chunksOf(
  file: SourceFile & { readonly type: 'file' },
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* file.chunks()
  } catch (cause) {
    throw cause instanceof SourceReadError ? cause : new LostCopyError('the copy is lost', { cause })
  }
}

function wrongSize(shown: string, size: number, expected: number): Reason {
  const message = `"${shown}" has size ${size} in the copy but size ${expected} in the manifest`
  return { kind: 'copy-differs', message }
}
