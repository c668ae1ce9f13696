import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { DamagedArchiveError } from '../damaged-archive-error.js'

const CHUNK_BYTES = 256 * 1024

/** Decompresses gzip, of several members too. Inflates in a thread of Node's own. */
export async function* gunzip(chunks: Iterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const source = Readable.from(copies(chunks), { objectMode: false, highWaterMark: CHUNK_BYTES })
  const inflate = createGunzip({ chunkSize: CHUNK_BYTES })
  // What goes wrong on the way is thrown by the loop over the last of them.
  const output = pipeline(source, inflate, () => {})
  try {
    for await (const piece of output) yield piece as Buffer
  } catch (error) {
    throw isOfZlib(error) ? new DamagedArchiveError(`its gzip data are damaged`, error.message) : error
  } finally {
    output.destroy()
  }
}

/** The stream holds several pieces at a time, and the memory of each is used again for the next. */
function* copies(chunks: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

function isOfZlib(error: unknown): error is Error {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('Z_')
  )
}
