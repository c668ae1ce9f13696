import { closeSync, readSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { openError, openRegularFile } from './open-regular-file.js'
import { type ReadCall, readExactly } from './read-fully.js'
import { displayPathname, type Pathname, pathTo } from './pathname.js'
import { isNotThere } from './system-error.js'

/**
 * Reads a file that is small by its nature, such as backup_label, whole.
 *
 * @param maxBytes - a longer one is not what it should be, and is refused unread
 * @param read - for tests
 * @returns `undefined` when there is no such file
 * @throws {@link PbManifestError} `IO`
 */
export function readSmallFile(
  path: Pathname,
  maxBytes: number,
  read: ReadCall = readSync,
): Buffer | undefined {
  const shown = displayPathname(path)
  try {
    const { descriptor, stats } = openRegularFile(pathTo(path))
    try {
      if (stats.size > maxBytes) {
        throw new PbManifestError(
          'IO',
          `could not read file "${shown}": it has ${stats.size} bytes, more than ${maxBytes}`,
        )
      }
      const buffer = Buffer.alloc(stats.size)
      readExactly(shown, descriptor, buffer, 0, read)
      return buffer
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw openError(shown, error)
  }
}

/**
 * The same of a file that has to be there.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function requireSmallFile(path: Pathname, maxBytes: number): Buffer {
  const bytes = readSmallFile(path, maxBytes)
  if (bytes !== undefined) return bytes
  throw new PbManifestError('IO', `could not open file "${displayPathname(path)}": No such file or directory`)
}

/**
 * Reads the last bytes of a file, or all when it has fewer.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function readFileEnd(path: Pathname, bytes: number): Buffer {
  const shown = displayPathname(path)
  try {
    const { descriptor, stats } = openRegularFile(pathTo(path))
    try {
      const buffer = Buffer.alloc(Math.min(bytes, stats.size))
      readExactly(shown, descriptor, buffer, stats.size - buffer.length)
      return buffer
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw openError(shown, error)
  }
}
