import type { Compression, Decompressor } from './compression.js'

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
