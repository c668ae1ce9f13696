import { DamagedArchiveError } from '../damaged-archive-error.js'
import type { Decompressor } from './compression.js'

/**
 * `zstddec` goes on asking its library for more after that has found the data damaged, and gets nothing each time. So
 * many times in a row, nothing comes of intact data only when they are frames with nothing in them.
 */
const MAX_EMPTY_PIECES = 1000

/**
 * Loads what decompresses zstd, of several frames too, by `zstddec`.
 *
 * Not by `zlib.createZstdDecompress` where Node has it (22.15): that stops, without an error, at the end of the first
 * frame in each piece.
 */
export async function loadUnzstd(): Promise<Decompressor> {
  const { ZSTDDecoder } = await import('zstddec/stream')
  const decoder = new ZSTDDecoder()
  await decoder.init()
  return (chunks) => unzstd(decoder, chunks)
}

function* unzstd(
  decoder: { decodeStreaming(chunks: Iterable<Uint8Array>): Iterable<Uint8Array> },
  chunks: Iterable<Buffer>,
): Generator<Buffer, void, undefined> {
  const source = new WatchedSource(chunks)
  try {
    let emptyPieces = 0
    let piecesTaken = 0
    for (const piece of decoder.decodeStreaming(source)) {
      const hasProgress = piece.length > 0 || source.taken > piecesTaken
      piecesTaken = source.taken
      emptyPieces = hasProgress ? 0 : emptyPieces + 1
      if (emptyPieces > MAX_EMPTY_PIECES) throw new Error('they cannot be decompressed')
      if (piece.length > 0) yield Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    }
  } catch (error) {
    if (source.failure !== undefined) throw source.failure
    const why = error instanceof Error ? error.message : String(error)
    throw new DamagedArchiveError('its zstd data are damaged', why)
  }
}

/** Counts what is taken, and keeps what it throws, so that it can be told from what the decoder throws. */
class WatchedSource implements Iterable<Uint8Array> {
  taken = 0
  failure: unknown
  readonly #chunks: Iterable<Buffer>

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks
  }

  *[Symbol.iterator](): Generator<Uint8Array, void, undefined> {
    try {
      for (const chunk of this.#chunks) {
        this.taken++
        yield chunk
      }
    } catch (error) {
      this.failure = error
      throw error
    }
  }
}
