import { promisify } from 'node:util'
import { constants, crc32, deflateRaw } from 'node:zlib'
import type { compressFrame } from 'lz4-napi'
import { loadPlatformPackage } from '../native-package.js'
import type { Compression } from './compression.js'

/** How something is to be compressed. Plain data: it crosses threads. */
export interface CompressionSettings {
  readonly method: Compression
  /** `undefined`: the default of the method. */
  readonly level: number | undefined
}

/** What is known of what was compressed, up to some piece. */
export interface CompressedSoFar {
  readonly bytes: number
  /** Of all bytes; where the format needs it. */
  readonly crc32: number
}

/**
 * Compresses a stream in pieces, each by itself, so that many can be at work on it. Put together in their order, between what the
 * format begins and ends with, the results are one compressed stream.
 */
export interface PieceCompressor {
  readonly begin: Buffer
  /** The bytes are the caller's again when it is done. */
  compress(piece: Buffer): Promise<Uint8Array>
  /** Takes what is known of a piece. */
  add(soFar: CompressedSoFar, piece: Buffer): CompressedSoFar
  end(all: CompressedSoFar): Buffer
}

const NOTHING = Buffer.alloc(0)

/** Loads what compresses so, and its library not before. */
export async function loadPieceCompressor({ method, level }: CompressionSettings): Promise<PieceCompressor> {
  switch (method) {
    case 'none':
      return framesOf(async (piece) => piece)
    case 'gzip':
      return gzipPieces(level)
    case 'lz4': {
      const native = loadPlatformPackage('lz4-napi', '@antoniomuso/lz4-napi') as {
        readonly compressFrame: typeof compressFrame
      }
      return framesOf(async (piece) => await native.compressFrame(piece, { contentChecksum: true }))
    }
    case 'zstd': {
      const compress = await (compressZstd ??= loadZstd())
      return framesOf(async (piece) => compress(piece, level))
    }
    default:
      return method satisfies never
  }
}

/** Once for all: to initialize it again would take the memory from those who use it. */
let compressZstd: ReturnType<typeof loadZstd> | undefined

async function loadZstd(): Promise<(piece: Uint8Array, level?: number) => Uint8Array> {
  const { init, compress } = await import('@bokuweb/zstd-wasm')
  await init()
  return compress
}

/** Each piece is a frame, and frames follow each other. */
function framesOf(compress: PieceCompressor['compress']): PieceCompressor {
  return {
    begin: NOTHING,
    compress,
    add: (soFar, piece) => ({ ...soFar, bytes: soFar.bytes + piece.length }),
    end: () => NOTHING,
  }
}

/** The header of a member without a name: deflate, no flags, no time, of Unix. */
const GZIP_HEADER = Buffer.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3)
/** What cannot be compressed becomes larger, by less than this in a piece. */
const BLOCKS_BYTES = 16 * 1024
/** The last block, with nothing in it. */
const LAST_BLOCK = Buffer.of(3, 0)

const deflatePiece = promisify(
  (piece: Buffer, options: object, done: (error: Error | null, result: Buffer) => void) =>
    deflateRaw(piece, options, done),
)

/**
 * One member, and not one for each piece: pg_verifybackup 18 stands still at the end of the first (`astreamer_gzip.c` does not go on
 * after `Z_STREAM_END`). So each piece is blocks of deflate that end at a whole byte, as `pigz` makes them.
 *
 * @see RFC 1951, RFC 1952
 */
function gzipPieces(level = constants.Z_DEFAULT_COMPRESSION): PieceCompressor {
  return {
    begin: GZIP_HEADER,
    // All of it in one go: each piece of the result would be another task of the pool.
    compress: async (piece) =>
      await deflatePiece(piece, {
        level,
        finishFlush: constants.Z_SYNC_FLUSH,
        chunkSize: piece.length + BLOCKS_BYTES,
      }),
    add: (soFar, piece) => ({
      bytes: soFar.bytes + piece.length,
      crc32: combineCrc32(soFar.crc32, crc32(piece), piece.length),
    }),
    end: (all) => {
      const trailer = Buffer.alloc(8)
      trailer.writeUInt32LE(all.crc32, 0)
      trailer.writeUInt32LE(all.bytes % 2 ** 32, 4)
      return Buffer.concat([LAST_BLOCK, trailer])
    },
  }
}

/** CRC-32's polynomial, bits in reverse. */
const POLYNOMIAL = 0xedb88320

/**
 * The CRC-32 of two stretches of bytes, one after the other, from that of each: the first is moved on over as many zeros as the second
 * has bytes, which is a product of polynomials.
 *
 * @param second - of the second stretch
 * @param bytes - how many that has
 * @see https://github.com/madler/zlib/blob/master/crc32.c (`crc32_combine`)
 */
export function combineCrc32(first: number, second: number, bytes: number): number {
  return (multiply(powerOfX(bytes), first) ^ second) >>> 0
}

/** x to the 8 times this, modulo the polynomial. */
function powerOfX(bytes: number): number {
  let result = 0x80000000
  // x^8, whose exponent doubles.
  let power = 0x00800000
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(power, result)
    power = multiply(power, power)
  }
  return result
}

/** The product of two polynomials, modulo CRC-32's. */
function multiply(left: number, right: number): number {
  let product = 0
  let shifted = right
  for (let bit = 31; bit >= 0; bit--) {
    if ((left >>> bit) & 1) product ^= shifted
    shifted = shifted & 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1
  }
  return product >>> 0
}
