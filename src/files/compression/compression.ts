/** How an archive is compressed; each is a way that pg_basebackup knows. */
export type Compression = 'none' | 'gzip' | 'lz4' | 'zstd'

/** How many of its first bytes tell how something is compressed. */
export const MAGIC_BYTES = 4

/**
 * How something is compressed, by its first bytes.
 *
 * @see RFC 1952 (gzip), RFC 8878 (zstd), https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function detectCompression(bytes: Buffer): Compression {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'gzip'
  if (bytes.length < MAGIC_BYTES) return 'none'
  switch (bytes.readUInt32LE()) {
    case LZ4_MAGIC:
      return 'lz4'
    case ZSTD_MAGIC:
      return 'zstd'
    default:
      return 'none'
  }
}

export const LZ4_MAGIC = 0x184d2204
const ZSTD_MAGIC = 0xfd2fb528

/** Pieces of bytes, each good only until the next is taken. */
type Chunks = Iterable<Buffer> | AsyncIterable<Buffer>

/**
 * Takes compressed bytes and gives what they were. Works only as fast as its output is taken, and holds a few pieces at
 * most, whatever the bytes claim. Throws `DamagedArchiveError`, and what `chunks` throws.
 */
export type Decompressor = (chunks: Iterable<Buffer>) => Chunks
