import { closeSync } from 'node:fs'
import type { OpenedFile } from './open-regular-file.js'
import { readSome } from './read-fully.js'

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
