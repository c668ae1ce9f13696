import { closeSync } from 'node:fs'
import { openRegularFile } from './open-regular-file.js'
import { readSome } from './read-fully.js'

const LF = 0x0a
const CHUNK_BYTES = 256 * 1024

/** Some lines of a file that follow each other. */
export interface LineBlock {
  /** Each line with its end. Valid until the next block is taken. */
  readonly bytes: Buffer
  /** False only for the last block of a file that was cut: its one line has no end. */
  readonly isWhole: boolean
}

/** The memory that {@link readLineBlocks} needs. */
export function createLineBuffer(maxBytes: number): Buffer {
  return Buffer.allocUnsafeSlow(CHUNK_BYTES + maxBytes)
}

/**
 * Reads a file in blocks of whole lines.
 *
 * @param maxBytes - no line of the format is longer; what is longer and has no end in sight is handed over cut, as not
 * whole, and is the last
 * @param buffer - for whoever reads many files or often; it holds what is handed over
 * @throws as `openRegularFile`, or the error of `read`
 */
export function* readLineBlocks(
  path: string,
  maxBytes: number,
  buffer: Buffer = createLineBuffer(maxBytes),
): Generator<LineBlock, void, undefined> {
  const { descriptor } = openRegularFile(path)
  try {
    let used = 0
    for (;;) {
      const length = readSome(descriptor, buffer, used, buffer.length - used, null)
      if (length === 0) break
      used += length
      const end = buffer.lastIndexOf(LF, used - 1) + 1
      if (end === 0 && used > maxBytes) break
      if (end > 0) yield { bytes: buffer.subarray(0, end), isWhole: true }
      buffer.copyWithin(0, end, used)
      used -= end
    }
    if (used > 0) yield { bytes: buffer.subarray(0, Math.min(used, maxBytes)), isWhole: false }
  } finally {
    closeSync(descriptor)
  }
}
