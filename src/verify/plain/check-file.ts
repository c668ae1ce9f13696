import { closeSync, statSync } from 'node:fs'
import { NotARegularFileError, openQuietly, openRegularFile } from '../../files/open-regular-file.js'
import { readSome } from '../../files/read-fully.js'
import { describeSystemError } from '../../files/system-error.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import type { FileTable } from '../file-table/file-table.js'
import { checksumFacts, fileProblem } from '../problems.js'
import type { Problem } from '../report.js'

/** What came of reading a file. Plain data: it crosses threads. */
export type FileOutcome =
  | { readonly type: 'match' }
  /** Its checksum is another one. */
  | { readonly type: 'mismatch'; readonly checksum: string }
  /** Its checksum was another one, and the right one when it was read again. */
  | { readonly type: 'transient'; readonly checksum: string }
  /** It had another number of bytes than it should have. */
  | { readonly type: 'wrong size'; readonly bytes: number }
  | { readonly type: 'not a file' }
  | {
      readonly type: 'failed'
      readonly call: 'open' | 'read'
      readonly code: string
      readonly message: string
      readonly detail?: string | undefined
    }

const match: FileOutcome = { type: 'match' }
/** What comes of a file that is not there. One object, because there can be as many as files. */
export const absentFile: FileOutcome = {
  type: 'failed',
  call: 'open',
  code: 'ENOENT',
  message: 'No such file or directory',
}

/** What a file should be. */
interface ExpectedFile {
  readonly path: string | Buffer
  readonly size: number
  /** The checksum that the hasher has come to, when it is not the right one. */
  readonly findOtherChecksum: (hasher: FileHasher) => string | undefined
}

/** Most sizes of files are multiples of a page's. */
const MOST_VIEWS = 256

/** Memory that is used again for each file, and views of its first bytes, which are costly to make. */
export class ReadBuffer {
  readonly whole: Buffer
  readonly #views = new Map<number, Buffer>()

  constructor(whole: Buffer) {
    this.whole = whole
  }

  /** The first bytes. */
  first(length: number): Buffer {
    const known = this.#views.get(length)
    if (known !== undefined) return known
    if (this.#views.size === MOST_VIEWS) this.#views.clear()
    const view = this.whole.subarray(0, length)
    this.#views.set(length, view)
    return view
  }
}

/** What looks at the bytes of a file as they are read. */
interface FileReaders {
  /** `undefined` when there is no checksum to compare with. */
  readonly hasher: FileHasher | undefined
  /**
   * Looks at the content.
   *
   * @param bytes - how many there are at the beginning of the buffer
   * @returns how many of them it has moved to the beginning of the buffer, to see them again with those that follow
   */
  readonly onContent: ((bytes: number) => number) | undefined
  /** Is told of each piece that was read. */
  readonly onBytes: (bytes: number) => void
  /** Are told of the open file before its first byte is read, and after its last. */
  readonly onOpen?: ((descriptor: number) => void) | undefined
  readonly onEnd?: ((descriptor: number) => void) | undefined
}

/**
 * Reads a file whole and compares its size and checksum.
 *
 * A file that is smaller than the buffer takes four calls of the system: open, read, read, close. The second one finds the
 * end, as nothing else does: a read may give less than there is. What is no regular file is not opened: where nobody has
 * looked yet, the file is looked at before.
 *
 * @param isRegular - whether it is known to be a regular file
 */
export function checkFile(
  { path, size, findOtherChecksum }: ExpectedFile,
  buffer: ReadBuffer,
  readers: FileReaders,
  isRegular: boolean,
): FileOutcome {
  const { hasher } = readers
  let descriptor: number
  try {
    if (!isRegular && !statSync(path).isFile()) return { type: 'not a file' }
    descriptor = openQuietly(path)
  } catch (error) {
    return explain(path, 'open', error)
  }
  try {
    readers.onOpen?.(descriptor)
    hasher?.reset()
    const bytes = readAll(descriptor, size, buffer, readers)
    if (bytes !== size) return explainSize(path, bytes)
    readers.onEnd?.(descriptor)
    const checksum = hasher && findOtherChecksum(hasher)
    return checksum === undefined ? match : { type: 'mismatch', checksum }
  } catch (error) {
    return explain(path, 'read', error)
  } finally {
    closeSync(descriptor)
  }
}

/** Reads up to one byte more than there should be, to notice a file that is longer. Returns how many came. */
function readAll(
  descriptor: number,
  size: number,
  buffer: ReadBuffer,
  { hasher, onContent, onBytes }: FileReaders,
): number {
  const { whole } = buffer
  let bytes = 0
  let kept = 0
  while (bytes <= size) {
    const wanted = Math.min(whole.length - kept, size + 1 - bytes)
    const length = readSome(descriptor, whole, kept, wanted, null)
    if (length === 0) break
    hasher?.update(kept === 0 ? buffer.first(length) : whole.subarray(kept, kept + length))
    if (onContent !== undefined) kept = onContent(kept + length)
    bytes += length
    onBytes(length)
  }
  return bytes
}

function explainSize(path: string | Buffer, bytes: number): FileOutcome {
  try {
    const { descriptor, stats } = openRegularFile(path)
    closeSync(descriptor)
    return { type: 'wrong size', bytes: Math.max(bytes, stats.size) }
  } catch (error) {
    return explain(path, 'open', error)
  }
}

function explain(path: string | Buffer, call: 'open' | 'read', error: unknown): FileOutcome {
  if (error instanceof NotARegularFileError) return { type: 'not a file' }
  const description = describeSystemError(error)
  if (description === undefined) throw error
  if (call === 'open' && description.code === 'ENOENT') return absentFile
  // Reading a FIFO fails in its own way; that it is one is what matters.
  return call === 'read' && isNoRegularFile(path)
    ? { type: 'not a file' }
    : { type: 'failed', call, ...description }
}

function isNoRegularFile(path: string | Buffer): boolean {
  try {
    closeSync(openRegularFile(path).descriptor)
    return false
  } catch (error) {
    return error instanceof NotARegularFileError
  }
}

/** What there is to report about a file that was read. */
export function problemOf(table: FileTable, row: number, outcome: FileOutcome): Problem | undefined {
  if (outcome.type === 'match') return undefined
  const pathname = table.pathname(row)
  const size = table.size(row)
  switch (outcome.type) {
    case 'mismatch':
      return fileProblem(
        'checksum-mismatch',
        pathname,
        (name) => `checksum mismatch for file "${name}"`,
        checksumFacts(table, row, outcome.checksum),
      )
    case 'transient':
      return fileProblem(
        'transient-mismatch',
        pathname,
        (name) => `checksum mismatch for file "${name}", but not when it was read again`,
        checksumFacts(table, row, outcome.checksum),
        'the store, or what is between, gives wrong bytes at times',
      )
    case 'wrong size':
      return fileProblem(
        'changed-while-read',
        pathname,
        (name) => `file "${name}" should contain ${size} bytes, but read ${outcome.bytes}`,
        { size: { expected: size, found: outcome.bytes } },
      )
    case 'not a file':
      return fileProblem('not-a-file', pathname, (name) => `"${name}" is not a regular file or directory`)
    case 'failed':
      return fileProblem(
        'unreadable',
        pathname,
        (name) => `could not ${outcome.call} file "${name}": ${outcome.message}`,
        { errorCode: outcome.code },
        outcome.detail,
      )
    default:
      return outcome satisfies never
  }
}
