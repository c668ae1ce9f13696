import { NotARegularFileError, type OpenedFile, openRegularFile } from '../files/open-regular-file.js'
import { readOpenedFile } from '../files/read-chunks.js'
import { describeSystemError } from '../files/system-error.js'
import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import type { FileHasher } from '../manifest/checksum/file-hasher.js'

/** A file to read and compare. Plain data: it crosses threads. */
export interface FileToCheck {
  /** Where it is; bytes when the name is not UTF-8. */
  readonly path: string | Uint8Array
  readonly size: number
  readonly algorithm: RealChecksumAlgorithm
  /** What its checksum should be, hexadecimal. */
  readonly checksum: string
}

/** What came of reading a file. Plain data: it crosses threads. */
export type FileOutcome =
  | { readonly type: 'match' }
  | { readonly type: 'mismatch' }
  /** It had another number of bytes than it should have. */
  | { readonly type: 'wrong size'; readonly bytes: number }
  | { readonly type: 'not a file' }
  | { readonly type: 'failed'; readonly call: 'open' | 'read'; readonly message: string }

/**
 * Reads a file whole and compares its checksum.
 *
 * @param onBytes - is told of each piece that was read
 */
export function checkFile(
  file: FileToCheck,
  hasher: FileHasher,
  buffer: Buffer,
  onBytes: (bytes: number) => void,
): FileOutcome {
  let opened: OpenedFile
  try {
    opened = openRegularFile(typeof file.path === 'string' ? file.path : Buffer.from(file.path))
  } catch (error) {
    if (error instanceof NotARegularFileError) return { type: 'not a file' }
    return failure('open', error)
  }
  try {
    return compare(file, opened, hasher, buffer, onBytes)
  } catch (error) {
    return failure('read', error)
  }
}

function compare(
  file: FileToCheck,
  opened: OpenedFile,
  hasher: FileHasher,
  buffer: Buffer,
  onBytes: (bytes: number) => void,
): FileOutcome {
  let bytes = 0
  hasher.reset()
  for (const chunk of readOpenedFile(opened, buffer)) {
    hasher.update(chunk)
    bytes += chunk.length
    onBytes(chunk.length)
    // A file that grows without end must not be read without end.
    if (bytes > file.size) break
  }
  if (bytes !== file.size) return { type: 'wrong size', bytes: Math.max(bytes, opened.stats.size) }
  return { type: hasher.digest() === file.checksum ? 'match' : 'mismatch' }
}

function failure(call: 'open' | 'read', error: unknown): FileOutcome {
  const description = describeSystemError(error)
  if (description === undefined) throw error
  return { type: 'failed', call, message: description.message }
}
