import type { Compression } from './compression.js'

/** Pieces of bytes, each good only until the next is taken. */
type Chunks = Iterable<Buffer> | AsyncIterable<Buffer>

/**
 * Takes compressed bytes and gives what they were. Works only as fast as its output is taken, and holds a few pieces at
 * most, whatever the bytes claim. Throws `DamagedArchiveError`, and what `chunks` throws.
 */
export type Decompressor = (chunks: Iterable<Buffer>) => Chunks

/** The decompressor for this kind of compression. Its library is loaded now, and not before. */
export async function loadDecompressor(compression: Compression): Promise<Decompressor> {
  switch (compression) {
    case 'none':
      return (chunks) => chunks
    case 'gzip':
      return (await import('./gunzip.js')).gunzip
    case 'lz4':
      return await (await import('./unlz4.js')).loadUnlz4()
    case 'zstd':
      return await (await import('./unzstd.js')).loadUnzstd()
    default:
      return compression satisfies never
  }
}
