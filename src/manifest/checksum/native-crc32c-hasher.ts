import type { FileHasher } from './file-hasher.js'

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
}

/** PostgreSQL writes the number as it lies in the memory of a little-endian machine. */
function toManifestHex(value: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes.toString('hex')
}
