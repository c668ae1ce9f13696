import { DamagedArchiveError } from '../damaged-archive-error.js'
import type { ByteReader } from './byte-reader.js'
import type { Lz4FrameHeader } from './lz4-frame-header.js'
import type { XxHash32 } from './xx-hash-32.js'

/** What the blocks are read with. */
export interface Lz4Codec {
  /** Decompresses a block that has its largest possible size before it, given the bytes that it may refer to. */
  readonly decompress: (sizedBlock: Buffer, window?: Buffer) => Buffer
  readonly hash: XxHash32
  readonly contentHash: XxHash32
}

/** How far back a block may refer. */
const WINDOW_BYTES = 64 * 1024
const SIZE_BYTES = 4
/** In the size of a block: it is not compressed. */
const IS_PLAIN = 0x8000_0000

/**
 * Reads the blocks of a frame up to its end mark, and checks all checksums that it has.
 *
 * @throws {@link DamagedArchiveError}
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md "Data Blocks"
 */
export function* readLz4Blocks(
  bytes: ByteReader,
  header: Lz4FrameHeader,
  { decompress, hash, contentHash }: Lz4Codec,
): Generator<Buffer, void, undefined> {
  const sizedBlock = Buffer.allocUnsafe(SIZE_BYTES + header.maxBlockBytes)
  sizedBlock.writeUInt32LE(header.maxBlockBytes)
  let window: Buffer | undefined
  let contentBytes = 0n
  contentHash.reset()
  for (;;) {
    const sizeField = bytes.require(SIZE_BYTES).readUInt32LE()
    if (sizeField === 0) break
    const size = sizeField & ~IS_PLAIN
    if (size > header.maxBlockBytes) throw damaged('a block is too large')
    bytes.require(size).copy(sizedBlock, SIZE_BYTES)
    const block = sizedBlock.subarray(SIZE_BYTES, SIZE_BYTES + size)
    if (header.hasBlockChecksums && bytes.require(4).readUInt32LE() !== hash.of(block)) {
      throw damaged('bad checksum of a block')
    }
    const piece =
      sizeField >= IS_PLAIN
        ? Buffer.from(block)
        : decompressBlock(decompress, sizedBlock.subarray(0, SIZE_BYTES + size), window)
    if (header.isLinked) window = lastBytes(window, piece)
    if (header.hasContentChecksum) contentHash.update(piece)
    contentBytes += BigInt(piece.length)
    yield piece
  }
  if (header.hasContentChecksum && bytes.require(4).readUInt32LE() !== contentHash.digest()) {
    throw damaged('bad checksum')
  }
  if (header.contentBytes !== undefined && header.contentBytes !== contentBytes) throw damaged('bad size')
}

function decompressBlock(
  decompress: Lz4Codec['decompress'],
  sizedBlock: Buffer,
  window: Buffer | undefined,
): Buffer {
  try {
    return decompress(sizedBlock, window)
  } catch (error) {
    throw damaged(error instanceof Error ? error.message : String(error))
  }
}

/** What the next block may refer to. */
function lastBytes(window: Buffer | undefined, piece: Buffer): Buffer {
  const bytes = window === undefined || piece.length >= WINDOW_BYTES ? piece : Buffer.concat([window, piece])
  return bytes.subarray(-WINDOW_BYTES)
}

function damaged(why: string): DamagedArchiveError {
  return new DamagedArchiveError('its lz4 data are damaged', why)
}
