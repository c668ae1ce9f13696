import { createHash, type Hash } from 'node:crypto'
import { AdaptiveCrc32cHasher } from './adaptive-crc32c-hasher.js'
import { isAwsCrc32cLoaded } from './aws-crt-crc32c.js'
import type { RealChecksumAlgorithm } from './checksum-algorithm.js'
import { loadCrc32cHasher } from './crc32c-engines.js'

/** Computes checksums of one algorithm, one file after the other. */
export interface FileHasher {
  /** What computes it: the name of a package, or `node:crypto`. */
  readonly engine: string
  /** Forgets what came before: a new file begins. */
  readonly reset: () => void
  readonly update: (bytes: Uint8Array) => void
  /** The checksum as the manifest writes it, in lower-case hexadecimal. Call `reset` before any further use. */
  readonly digest: () => string
}

const hashNames: Readonly<Record<Exclude<RealChecksumAlgorithm, 'CRC32C'>, string>> = {
  SHA224: 'sha224',
  SHA256: 'sha256',
  SHA384: 'sha384',
  SHA512: 'sha512',
}

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
  if (algorithm !== 'CRC32C') return new ShaHasher(hashNames[algorithm])
  if (work === 'much') return await loadCrc32cHasher()
  return await AdaptiveCrc32cHasher.create({
    isWorthIt: (bytes) => bytes >= MUCH_WORK || isAwsCrc32cLoaded(),
  })
}

class ShaHasher implements FileHasher {
  readonly engine = 'node:crypto'
  readonly #name: string
  #hash: Hash

  constructor(name: string) {
    this.#name = name
    this.#hash = createHash(name)
  }

  reset(): void {
    this.#hash = createHash(this.#name)
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }

  digest(): string {
    return this.#hash.digest('hex')
  }
}
