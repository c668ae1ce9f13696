import type { uncompressSync } from 'lz4-napi'
import { DamagedArchiveError } from '../damaged-archive-error.js'
import { loadPlatformPackage } from '../native-package.js'
import { type Decompressor, LZ4_MAGIC } from './compression.js'

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

/** What the blocks are read with. */
interface Lz4Codec {
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
function* readLz4Blocks(
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

/** What the header of an lz4 frame says. */
interface Lz4FrameHeader {
  readonly maxBlockBytes: number
  /** Whether a block may refer to the 64 KiB before it. */
  readonly isLinked: boolean
  readonly hasBlockChecksums: boolean
  readonly hasContentChecksum: boolean
  /** `undefined` when it is not said. */
  readonly contentBytes: bigint | undefined
}

/** How many bytes the header has behind its magic number, at the least; what its first byte says may be more. */
const LZ4_MIN_HEADER_BYTES = 3

const blockBytes: ReadonlyMap<number, number> = new Map([
  [4, 64 * 1024],
  [5, 256 * 1024],
  [6, 1024 * 1024],
  [7, 4 * 1024 * 1024],
])

/** How many bytes the header has behind its magic number, by its first byte. */
function lz4HeaderBytes(flags: number): number {
  return LZ4_MIN_HEADER_BYTES + (hasBit(flags, 3) ? 8 : 0) + (hasBit(flags, 0) ? 4 : 0)
}

/**
 * Reads the header of an lz4 frame.
 *
 * @param bytes - {@link lz4HeaderBytes} of them, from behind the magic number
 * @param hash - xxHash32
 * @returns what is wrong with it, when it is none
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md "Frame Descriptor"
 */
function parseLz4FrameHeader(bytes: Buffer, hash: (bytes: Buffer) => number): Lz4FrameHeader | string {
  const flags = bytes.readUInt8(0)
  if (flags >> 6 !== 1) return 'unknown version'
  if (hasBit(flags, 1)) return 'unknown flags'
  if (hasBit(flags, 0)) return 'a dictionary is needed'
  const checksumAt = bytes.length - 1
  if (((hash(bytes.subarray(0, checksumAt)) >>> 8) & 0xff) !== bytes[checksumAt]) {
    return 'bad header checksum'
  }
  const maxBlockBytes = blockBytes.get((bytes.readUInt8(1) >> 4) & 7)
  if (maxBlockBytes === undefined) return 'unknown block size'
  return {
    maxBlockBytes,
    isLinked: !hasBit(flags, 5),
    hasBlockChecksums: hasBit(flags, 4),
    hasContentChecksum: hasBit(flags, 2),
    contentBytes: hasBit(flags, 3) ? bytes.readBigUInt64LE(2) : undefined,
  }
}

function hasBit(flags: number, bit: number): boolean {
  return ((flags >> bit) & 1) === 1
}

/** The checksum of lz4 frames. */
interface XxHash32 {
  /** Begins anew. */
  readonly reset: () => void
  readonly update: (bytes: Buffer) => void
  readonly digest: () => number
  /** Of these bytes alone. */
  readonly of: (bytes: Buffer) => number
}

/** A hasher of its own, by `hash-wasm`. */
async function loadXxHash32(): Promise<XxHash32> {
  const { createXXHash32 } = await import('hash-wasm')
  const hasher = await createXXHash32()
  const digest = (): number => Buffer.from(hasher.digest('binary')).readUInt32BE()
  return {
    reset: () => {
      hasher.init()
    },
    update: (bytes) => {
      hasher.update(bytes)
    },
    digest,
    of: (bytes) => {
      hasher.init().update(bytes)
      return digest()
    },
  }
}

const NO_BYTES = Buffer.alloc(0)

/** Takes a wanted number of bytes at a time from pieces of any size. */
class ByteReader {
  readonly #chunks: Iterator<Buffer>
  #chunk: Buffer = NO_BYTES
  #at = 0

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks[Symbol.iterator]()
  }

  /** The next bytes, fewer at the end; good only until the next call. */
  take(count: number): Buffer {
    if (this.#at + count <= this.#chunk.length) return this.#takeFromChunk(count)
    const parts: Buffer[] = []
    for (let missing = count; missing > 0;) {
      if (this.#at === this.#chunk.length && !this.#next()) break
      const part = this.#takeFromChunk(Math.min(missing, this.#chunk.length - this.#at))
      // The next piece may come in the same memory.
      parts.push(Buffer.from(part))
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  /**
   * The next bytes, all of them.
   *
   * @throws {@link DamagedArchiveError}
   */
  require(count: number): Buffer {
    const bytes = this.take(count)
    if (bytes.length < count) throw endsTooEarly()
    return bytes
  }

  /**
   * Passes over bytes.
   *
   * @throws {@link DamagedArchiveError} when there are fewer
   */
  skip(count: number): void {
    for (let missing = count; missing > 0;) {
      if (this.#at === this.#chunk.length && !this.#next()) throw endsTooEarly()
      missing -= this.#takeFromChunk(Math.min(missing, this.#chunk.length - this.#at)).length
    }
  }

  /** Says that no more will be taken. */
  close(): void {
    this.#chunks.return?.()
  }

  #takeFromChunk(count: number): Buffer {
    this.#at += count
    return this.#chunk.subarray(this.#at - count, this.#at)
  }

  #next(): boolean {
    const result = this.#chunks.next()
    if (result.done === true) return false
    this.#chunk = result.value
    this.#at = 0
    return true
  }
}

function endsTooEarly(): DamagedArchiveError {
  return new DamagedArchiveError('its compressed data end too early')
}
