import { AdaptiveCrc32cHasher } from './adaptive-crc32c-hasher.js'
import { isAwsCrc32cLoaded, loadCrc32cHasher } from './crc32c-engines.js'
import type { RealChecksumAlgorithm } from './checksum-algorithm.js'
import { type FileHasher, ShaHasher } from './file-hasher.js'

/** From so many bytes on, the fastest engine saves more time than its loading takes. */
export const MUCH_WORK = 400e6

/**
 * A hasher of this algorithm, by the fastest engine that works here.
 *
 * @param work - `unknown`: if that one takes long to load, only once many bytes have come
 */
export async function createFileHasher(
  algorithm: RealChecksumAlgorithm,
  work: 'much' | 'unknown' = 'much',
): Promise<FileHasher> {
  if (algorithm !== 'CRC32C') return new ShaHasher(algorithm)
  if (work === 'much') return await loadCrc32cHasher()
  return await AdaptiveCrc32cHasher.create({
    isWorthIt: (bytes) => bytes >= MUCH_WORK || isAwsCrc32cLoaded(),
  })
}
