import { createHash, type Hash } from 'node:crypto'
import type { RealChecksumAlgorithm } from './checksum-algorithm.js'

/** Computes checksums of one algorithm, one file after the other. */
export interface FileHasher {
  /** What computes it: the name of a package, or `node:crypto`. */
  readonly engine: string
  /** Forgets what came before: a new file begins. */
  readonly reset: () => void
  readonly update: (bytes: Uint8Array) => void
  /** The checksum as the manifest writes it, in lower-case hexadecimal. Call `reset` before any further use. */
  readonly digest: () => string
  /** The checksum, when it is not the one whose bytes begin there; takes the place of `digest`, and makes no text of the right one. */
  readonly findOther: (bytes: Uint8Array, start: number) => string | undefined
}

/** CRC-32C of some bytes, which continues that of the bytes before them; 0 at the beginning. */
export type Crc32c = (bytes: Uint8Array, previous: number) => number

/** A hasher over a function that keeps no state, so that another one can take its place in the middle of a file. */
export class NativeCrc32cHasher implements FileHasher {
  #engine: string
  #crc32c: Crc32c
  #value = 0

  constructor(engine: string, crc32c: Crc32c) {
    this.#engine = engine
    this.#crc32c = crc32c
  }

  get engine(): string {
    return this.#engine
  }

  /** Goes on with another function. */
  use(engine: string, crc32c: Crc32c): void {
    this.#engine = engine
    this.#crc32c = crc32c
  }

  reset(): void {
    this.#value = 0
  }

  update(bytes: Uint8Array): void {
    this.#value = this.#crc32c(bytes, this.#value)
  }

  digest(): string {
    return toManifestHex(this.#value)
  }

  findOther(bytes: Uint8Array, start: number): string | undefined {
    let value = 0
    for (let at = 3; at >= 0; at--) value = (value << 8) | (bytes[start + at] ?? 0)
    return value === (this.#value | 0) ? undefined : this.digest()
  }
}

/** PostgreSQL writes the number as it lies in the memory of a little-endian machine. */
function toManifestHex(value: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes.toString('hex')
}

type ShaAlgorithm = Exclude<RealChecksumAlgorithm, 'CRC32C'>

const hashNames: Readonly<Record<ShaAlgorithm, string>> = {
  SHA224: 'sha224',
  SHA256: 'sha256',
  SHA384: 'sha384',
  SHA512: 'sha512',
}

/** By `node:crypto`. */
export class ShaHasher implements FileHasher {
  readonly engine = 'node:crypto'
  readonly #name: string
  #hash: Hash

  constructor(algorithm: ShaAlgorithm) {
    this.#name = hashNames[algorithm]
    this.#hash = createHash(this.#name)
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

  findOther(bytes: Uint8Array, start: number): string | undefined {
    const digest = this.#hash.digest()
    return digest.compare(bytes, start, start + digest.length) === 0 ? undefined : digest.toString('hex')
  }
}
