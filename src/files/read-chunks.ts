import { closeSync, readSync } from 'node:fs'
import { type OpenedFile, openRegularFile } from './open-regular-file.js'

/**
 * Reads a regular file from its start to its end, a buffer at a time. The buffer is used again for each chunk.
 *
 * Synchronous, because a promise for each small file costs more than its bytes; a caller on the main thread gives way
 * to other work between chunks.
 *
 * @throws as {@link openRegularFile}, or the error of `read`
 */
export function* readChunks(path: string | Buffer, buffer: Buffer): Generator<Buffer, void, undefined> {
  const file = openRegularFile(path)
  yield* readOpenedFile(file, buffer)
}

/** The same for a file that is open already. Closes it. */
export function* readOpenedFile(file: OpenedFile, buffer: Buffer): Generator<Buffer, void, undefined> {
  try {
    for (;;) {
      const length = readSync(file.descriptor, buffer, 0, buffer.length, null)
      if (length === 0) return
      yield length === buffer.length ? buffer : buffer.subarray(0, length)
    }
  } finally {
    closeSync(file.descriptor)
  }
}
