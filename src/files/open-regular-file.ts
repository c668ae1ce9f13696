import { closeSync, constants, fstatSync, openSync, type Stats, statSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { readSome } from './read-fully.js'
import { ioError } from './system-error.js'

const { O_NOATIME, O_NONBLOCK, O_RDONLY } = constants

/** What should be a regular file, and is none. */
export class NotARegularFileError extends Error {
  constructor() {
    super('is not a regular file')
  }
}

/**
 * What to throw when a file that should be a regular one could not be opened or read.
 *
 * @param shown - its name, as it may be shown
 * @returns a {@link PbManifestError} `IO`; any error that is neither the operating system's nor ours as it is
 */
export function openError(shown: string, error: unknown): unknown {
  if (error instanceof NotARegularFileError) {
    return new PbManifestError('IO', `could not open file "${shown}": it is not a regular file`)
  }
  return ioError(`could not open file "${shown}"`, error)
}

export interface OpenedFile {
  readonly descriptor: number
  /** Of the opened file itself, so that nothing can be swapped between. */
  readonly stats: Stats
}

/**
 * Opens a regular file for reading; the caller closes the descriptor.
 *
 * What is none is not opened: to open a FIFO wakes its writer, whose bytes are lost then, and to open a device may do anything.
 * The access time stays as it is where the system allows that
 * (Linux, to the file's owner).
 *
 * @throws {@link NotARegularFileError}, or the error of `open`
 */
export function openRegularFile(path: string | Buffer): OpenedFile {
  if (!statSync(path).isFile()) throw new NotARegularFileError()
  return requireRegularFile(openQuietly(path))
}

/**
 * Looks at what was opened; closes it when it is no regular file.
 *
 * @throws {@link NotARegularFileError}
 */
export function requireRegularFile(descriptor: number): OpenedFile {
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile()) throw new NotARegularFileError()
    return { descriptor, stats }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

let mayKeepAccessTime = O_NOATIME !== undefined

/** The same for a caller that knows already that it is a regular file. */
export function openQuietly(path: string | Buffer): number {
  const flags = O_RDONLY | O_NONBLOCK
  if (mayKeepAccessTime) {
    try {
      return openSync(path, flags | O_NOATIME)
    } catch (error) {
      // EPERM: somebody else's file. It is likely that the next one is, too.
      if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) throw error
      mayKeepAccessTime = false
    }
  }
  return openSync(path, flags)
}

/**
 * Reads an open file from where it stands to its end, a buffer at a time, and closes it. The buffer is used again for each
 * chunk.
 *
 * Synchronous, because a promise for each small file costs more than its bytes; a caller on the main thread gives way
 * to other work between chunks.
 *
 * @throws the error of `read`
 */
export function* readOpenedFile(file: OpenedFile, buffer: Buffer): Generator<Buffer, void, undefined> {
  try {
    for (;;) {
      const length = readSome(file.descriptor, buffer, 0, buffer.length, null)
      if (length === 0) return
      yield length === buffer.length ? buffer : buffer.subarray(0, length)
    }
  } finally {
    closeSync(file.descriptor)
  }
}
