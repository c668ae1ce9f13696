import type { uncompressSync } from 'lz4-napi'
import { DamagedArchiveError } from '../damaged-archive-error.js'
import { loadPlatformPackage } from '../native-package.js'
import { ByteReader } from './byte-reader.js'
import { type Decompressor, LZ4_MAGIC } from './compression.js'
import { type Lz4Codec, readLz4Blocks } from './lz4-blocks.js'
import {
  LZ4_MIN_HEADER_BYTES,
  type Lz4FrameHeader,
  lz4HeaderBytes,
  parseLz4FrameHeader,
} from './lz4-frame-header.js'
import { loadXxHash32 } from './xx-hash-32.js'

/** A frame whose number begins so, but for its last four bits, holds what is not for us. */
const SKIPPABLE_MAGIC = 0x184d2a50

/**
 * Loads what decompresses lz4, of several frames too.
 *
 * The blocks are decompressed by `lz4-napi`. The frame around them is read here, because the package takes a frame only
 * whole, and holds all that comes out of it.
 */
export async function loadUnlz4(): Promise<Decompressor> {
  const native = loadPlatformPackage('lz4-napi', '@antoniomuso/lz4-napi') as {
    readonly uncompressSync: typeof uncompressSync
  }
  const [hash, contentHash] = [await loadXxHash32(), await loadXxHash32()]
  const codec: Lz4Codec = { decompress: native.uncompressSync, hash, contentHash }
  return (chunks) => unlz4(new ByteReader(chunks), codec)
}

function* unlz4(bytes: ByteReader, codec: Lz4Codec): Generator<Buffer, void, undefined> {
  try {
    yield* readFrames(bytes, codec)
  } finally {
    bytes.close()
  }
}

function* readFrames(bytes: ByteReader, codec: Lz4Codec): Generator<Buffer, void, undefined> {
  for (;;) {
    const start = bytes.take(4)
    if (start.length === 0) return
    const magic = start.length === 4 ? start.readUInt32LE() : 0
    if (magic === LZ4_MAGIC) yield* readLz4Blocks(bytes, readHeader(bytes, codec), codec)
    else if (magic >>> 4 === SKIPPABLE_MAGIC >>> 4) bytes.skip(bytes.require(4).readUInt32LE())
    else throw new DamagedArchiveError('its lz4 data are damaged', 'there is something that is no frame')
  }
}

function readHeader(bytes: ByteReader, { hash }: Lz4Codec): Lz4FrameHeader {
  const start = Buffer.from(bytes.require(LZ4_MIN_HEADER_BYTES))
  const rest = bytes.require(lz4HeaderBytes(start.readUInt8(0)) - start.length)
  const header = parseLz4FrameHeader(Buffer.concat([start, rest]), (descriptor) => hash.of(descriptor))
  if (typeof header === 'string') throw new DamagedArchiveError('its lz4 data are damaged', header)
  return header
}
