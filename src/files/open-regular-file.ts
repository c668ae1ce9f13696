import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs'

const { O_NOATIME, O_NONBLOCK, O_RDONLY } = constants

/** A file that was opened, and turned out to be none. */
export class NotARegularFileError extends Error {
  constructor() {
    super('is not a regular file')
  }
}

export interface OpenedFile {
  readonly descriptor: number
  /** Of the opened file itself, so that nothing can be swapped between. */
  readonly stats: Stats
}

/**
 * Opens a regular file for reading; the caller closes the descriptor.
 *
 * A FIFO or a device is refused without waiting for it. The access time stays as it is where the system allows that
 * (Linux, to the file's owner).
 *
 * @throws {@link NotARegularFileError}, or the error of `open`
 */
export function openRegularFile(path: string | Buffer): OpenedFile {
  const descriptor = openQuietly(path)
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

/** The same without asking what kind of file it is: a caller that does so later, if something is wrong. */
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
