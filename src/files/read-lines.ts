import { readChunks } from './read-chunks.js'

const LF = 0x0a
const CHUNK_BYTES = 256 * 1024

/** A line of a file. */
export interface Line {
  /** Without its end. Valid until the next line is taken. */
  readonly bytes: Buffer
  /** Whether a line feed followed; false only for the last line of a file that was cut. */
  readonly isWhole: boolean
}

/**
 * Reads a file line by line.
 *
 * @param maxBytes - no line of the format is longer; a longer one is handed over cut, as not whole, and is the last
 * @throws as `readChunks`
 */
export function* readLines(path: string, maxBytes: number): Generator<Line, void, undefined> {
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of readChunks(path, Buffer.allocUnsafe(CHUNK_BYTES))) {
    let at = 0
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, at)) {
      const tail = chunk.subarray(at, end)
      const bytes = rest.length === 0 ? tail : Buffer.concat([rest, tail])
      if (bytes.length > maxBytes) {
        yield cut(bytes, maxBytes)
        return
      }
      yield { bytes, isWhole: true }
      rest = Buffer.alloc(0)
      at = end + 1
    }
    rest = Buffer.concat([rest, chunk.subarray(at)])
    if (rest.length > maxBytes) break
  }
  if (rest.length > 0) yield cut(rest, maxBytes)
}

function cut(bytes: Buffer, maxBytes: number): Line {
  return { bytes: bytes.subarray(0, maxBytes), isWhole: false }
}
