import { closeSync } from 'node:fs'
import { throwIfAborted, Yielder } from '../../../files/yielder.js'
import type { OpenedFile } from '../../../files/open-regular-file.js'
import { displayPathname, type Pathname } from '../../../files/pathname.js'
import { readExactly, readFully } from '../../../files/read-fully.js'
import { ioError } from '../../../files/system-error.js'
import { CONTROL_FILE } from '../../../postgres/data-directory.js'
import { parseControlFile } from '../../../postgres/control-file.js'
import { PAGE_SIZE } from '../../../postgres/data-page/page-layout.js'
import type { FileEvent, RequestedBlocks, RequestedFile } from '../cluster-files.js'
import type { LocalPathnames } from './local-pathnames.js'
import { readControlFileWhileWritten } from '../../../manifest/data-directory-files.js'

/** A multiple of the size of a page. */
const BUFFER_BYTES = 512 * 1024

/**
 * Reads files one after the other.
 *
 * @throws {@link PbManifestError} `USAGE`, `IO`, `BAD_FILE` (pg_control) or `ABORTED`
 */
export async function* readLocalFiles(
  files: readonly RequestedFile[],
  opener: LocalPathnames,
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  yield* readEach(files, opener, signal, ({ pathname }, opened, buffer, yielder) =>
    pathname === CONTROL_FILE ? readControl(opened) : readOne(pathname, opened, buffer, yielder),
  )
}

/** Opens one file after the other, and has what there is of each given. */
async function* readEach<File extends { readonly pathname: Pathname }>(
  files: readonly File[],
  opener: LocalPathnames,
  signal: AbortSignal | undefined,
  read: (
    file: File,
    opened: OpenedFile,
    buffer: Buffer,
    yielder: Yielder,
  ) => AsyncGenerator<FileEvent, void, undefined>,
): AsyncGenerator<FileEvent, void, undefined> {
  const yielder = new Yielder(signal)
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  for (const file of files) {
    throwIfAborted(signal)
    const opened = opener.open(file.pathname)
    if (opened === undefined) {
      yield { type: 'vanished', pathname: file.pathname }
      continue
    }
    try {
      yield* read(file, opened, buffer, yielder)
    } finally {
      closeSync(opened.descriptor)
    }
    if (yielder.isDue) await yielder.yield()
  }
}

async function* readOne(
  pathname: Pathname,
  { descriptor, stats }: OpenedFile,
  buffer: Buffer,
  yielder: Yielder,
): AsyncGenerator<FileEvent, void, undefined> {
  const { size } = stats
  yield { type: 'file', pathname, size, modified: modifiedOf(stats) }
  for (let at = 0; at < size;) {
    const wanted = Math.min(buffer.length, size - at)
    const length = readAt(pathname, descriptor, buffer, wanted, at)
    // The file has shrunk. Its size was told already, and WAL replay will see to the rest.
    if (length < wanted) buffer.fill(0, length, wanted)
    yield { type: 'bytes', bytes: buffer.subarray(0, wanted) }
    at += wanted
    if (yielder.isDue) await yielder.yield()
  }
  yield { type: 'end' }
}

/** Small, and read whole until it is not torn. */
async function* readControl({ descriptor, stats }: OpenedFile): AsyncGenerator<FileEvent, void, undefined> {
  const { size } = stats
  const bytes = Buffer.alloc(size)
  await readControlFileWhileWritten(() => {
    readExactly(CONTROL_FILE, descriptor, bytes, 0)
    return parseControlFile(bytes, CONTROL_FILE)
  })
  yield { type: 'file', pathname: CONTROL_FILE, size, modified: modifiedOf(stats) }
  yield { type: 'bytes', bytes }
  yield { type: 'end' }
}

/**
 * Reads some blocks of files, one file after the other.
 *
 * @throws {@link PbManifestError} `USAGE`, `IO` or `ABORTED`
 */
export async function* readLocalBlocks(
  files: readonly RequestedBlocks[],
  opener: LocalPathnames,
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  yield* readEach(files, opener, signal, readChosen)
}

/** Blocks next to each other are read in one piece, and as many are given at once as the buffer has room for. */
async function* readChosen(
  { pathname, choose }: RequestedBlocks,
  { descriptor, stats }: OpenedFile,
  buffer: Buffer,
  yielder: Yielder,
): AsyncGenerator<FileEvent, void, undefined> {
  const { size } = stats
  yield { type: 'file', pathname, size, modified: modifiedOf(stats) }
  const blocks = choose(size)
  let used = 0
  for (let from = 0; from < blocks.length;) {
    const block = blocks[from] ?? 0
    const room = (buffer.length - used) / PAGE_SIZE
    let count = 1
    while (count < room && blocks[from + count] === block + count) count++
    const wanted = count * PAGE_SIZE
    const target = buffer.subarray(used, used + wanted)
    const length = readAt(pathname, descriptor, target, wanted, block * PAGE_SIZE)
    // The file was cut meanwhile, maybe in the middle of a page, and WAL replay will see to it.
    target.fill(0, Math.floor(length / PAGE_SIZE) * PAGE_SIZE)
    used += wanted
    from += count
    if (used < buffer.length && from < blocks.length) continue
    yield { type: 'bytes', bytes: buffer.subarray(0, used) }
    used = 0
    if (yielder.isDue) await yielder.yield()
  }
  yield { type: 'end' }
}

/**
 * One page of a file.
 *
 * @returns `undefined` when the file ends before the page does
 * @throws as {@link LocalPathnames.open}
 */
export function readLocalPage(
  pathname: Pathname,
  pathnames: LocalPathnames,
  offset: number,
  pageSize: number,
): Buffer | undefined {
  const file = pathnames.open(pathname)
  if (file === undefined) return undefined
  const page = Buffer.alloc(pageSize)
  try {
    return readFully(file.descriptor, page, offset) === pageSize ? page : undefined
  } catch (error) {
    throw ioError(`could not read file "${displayPathname(pathname)}"`, error)
  } finally {
    closeSync(file.descriptor)
  }
}

/** Reads so many bytes, or all that are left. */
function readAt(pathname: Pathname, descriptor: number, buffer: Buffer, wanted: number, at: number): number {
  try {
    return readFully(descriptor, buffer.subarray(0, wanted), at)
  } catch (error) {
    throw ioError(`could not read file "${displayPathname(pathname)}"`, error)
  }
}

function modifiedOf({ mtimeMs }: OpenedFile['stats']): number {
  return Math.floor(mtimeMs / 1000)
}
