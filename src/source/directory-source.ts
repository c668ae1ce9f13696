import { closeSync, read, statSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { PbManifestError } from '../errors.js'
import { NotARegularFileError, type OpenedFile, openRegularFile } from '../files/open-regular-file.js'
import { readNames } from '../files/read-directory.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { type BackupSource, type SourceFile, SourceReadError } from './backup-source.js'

const CHUNK_BYTES = 1024 * 1024

/** So often, and so long between, in milliseconds, is a read repeated that a file system puts off. */
const MOST_DELAYS = 500
const DELAY_MS = 10

const readAsync = promisify(read)

/**
 * A backup in plain format, in a directory; links are followed, as a server follows those of its tablespaces.
 *
 * @throws {@link PbManifestError} `IO` when it is no directory
 */
export function openDirectorySource(directory: string): BackupSource {
  requireDirectory(directory)
  const source: BackupSource = {
    place: directory,
    lanes(wanted, count, also) {
      const all = also === undefined ? wanted : followedBy(wanted, () => listMatching(directory, also))
      // One iterator: what a lane has taken, no other takes.
      const names = all[Symbol.iterator]()
      return Array.from({ length: count }, () =>
        source.files({ [Symbol.iterator]: () => ({ next: () => names.next() }) }),
      )
    },
    async *files(wanted) {
      let buffer: Buffer | undefined
      for (const pathname of wanted) {
        const file = openFile(directory, pathname)
        if (!('descriptor' in file)) {
          yield file
          continue
        }
        const { descriptor, stats } = file
        const memory = (buffer ??= Buffer.allocUnsafe(CHUNK_BYTES))
        try {
          yield {
            type: 'file',
            pathname,
            size: stats.size,
            modified: stats.mtime,
            chunks: () => readChunks(descriptor, memory),
          }
        } finally {
          closeSync(descriptor)
        }
      }
    },
  }
  return source
}

function* followedBy(
  wanted: Iterable<Pathname>,
  more: () => readonly Pathname[],
): Generator<Pathname, void, undefined> {
  const given = new Set<Pathname>()
  for (const pathname of wanted) {
    given.add(pathname)
    yield pathname
  }
  for (const pathname of more()) if (!given.has(pathname)) yield pathname
}

/** Of what is at the top and in pg_wal. */
function listMatching(directory: string, pattern: RegExp): Pathname[] {
  return ['', 'pg_wal/', 'pg_wal/archive_status/'].flatMap((parent) => {
    try {
      const names = readNames(`${directory}/${parent}`).map((name) => `${parent}${name}`)
      return names.filter((pathname) => pattern.test(pathname))
    } catch (error) {
      if (describeSystemError(error)?.code === 'ENOENT') return []
      throw ioError(`could not open directory "${displayPathname(`${directory}/${parent}`)}"`, error)
    }
  })
}

/** @throws {@link PbManifestError} `IO` */
export function requireDirectory(directory: string): void {
  try {
    if (statSync(directory).isDirectory()) return
  } catch (error) {
    throw ioError(`could not open directory "${displayPathname(directory)}"`, error)
  }
  throw new PbManifestError('IO', `could not open directory "${displayPathname(directory)}": Not a directory`)
}

function openFile(directory: string, pathname: Pathname): OpenedFile | SourceFile {
  try {
    return openRegularFile(pathOf(directory, pathname))
  } catch (error) {
    if (error instanceof NotARegularFileError) {
      return { type: 'unreadable', pathname, message: 'it is not a regular file' }
    }
    const description = describeSystemError(error)
    if (description === undefined) throw error
    return ['ENOENT', 'ENOTDIR'].includes(description.code)
      ? { type: 'absent', pathname }
      : { type: 'unreadable', pathname, message: description.message }
  }
}

async function* readChunks(descriptor: number, buffer: Buffer): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    const length = await readSome(descriptor, buffer)
    if (length === 0) return
    yield buffer.subarray(0, length)
  }
}

/** Beside other reads, unlike `files/read-fully`: a copy may be behind a network. */
async function readSome(descriptor: number, buffer: Buffer): Promise<number> {
  for (let delays = 0; ; delays++) {
    try {
      return (await readAsync(descriptor, buffer, 0, buffer.length, null)).bytesRead
    } catch (error) {
      const description = describeSystemError(error)
      if (description === undefined) throw error
      const isPutOff = description.code === 'EAGAIN' || description.code === 'EINTR'
      if (!isPutOff || delays === MOST_DELAYS) throw new SourceReadError(description.message)
      await setTimeout(DELAY_MS)
    }
  }
}
