import { randomBytes } from 'node:crypto'

/** How many bytes of a pathname have a multiplier of their own; no file system takes more of them. */
const POSITIONS = 4096
const WORDS = 2 * POSITIONS + 2
const SEEDS = 2 * POSITIONS

/**
 * Hashes pathnames by a random key, so that nobody can make many that share a hash without knowing it: manifests, fragments
 * and archives come from elsewhere.
 *
 * Each byte is multiplied by a random number of its position, and the products are summed. Of any two pathnames, whoever
 * chose them, at most one key in four million gives both the same sum.
 *
 * @see M. Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer arithmetic without
 * primes" (1996)
 */
export class PathnameHash {
  /** Int32, for another thread. */
  readonly key: SharedArrayBuffer
  /** Copied, because memory that threads share is slower. */
  readonly #low: Int32Array
  readonly #high: Int32Array
  readonly #lowSeed: number
  readonly #highSeed: number

  /** @param key - default: a random one */
  constructor(key: SharedArrayBuffer = randomKey()) {
    this.key = key
    const words = Int32Array.from(new Int32Array(key))
    this.#low = words.subarray(0, POSITIONS)
    this.#high = words.subarray(POSITIONS, SEEDS)
    this.#lowSeed = words[SEEDS] ?? 0
    this.#highSeed = words[SEEDS + 1] ?? 0
  }

  /** 32 bits, of which any can be taken. */
  hash32(bytes: Uint8Array, start: number, end: number): number {
    return hash(this.#low, this.#lowSeed, bytes, start, end)
  }

  /** 53 bits, which a number holds. */
  hash53(bytes: Uint8Array, start: number, end: number): number {
    const highs = this.#high
    const lows = this.#low
    let high = this.#highSeed | 0
    let low = this.#lowSeed | 0
    // As `hash` does it, both in one go.
    for (let block = start; ; block += POSITIONS) {
      const blockEnd = Math.min(end, block + POSITIONS)
      for (let at = block; at < blockEnd; at++) {
        const factor = (bytes[at] as number) + 1
        high = (high + Math.imul(highs[at - block] as number, factor)) | 0
        low = (low + Math.imul(lows[at - block] as number, factor)) | 0
      }
      high = mix(high)
      low = mix(low)
      if (blockEnd === end) return (high >>> 0) * 2 ** 21 + (low >>> 11)
    }
  }
}

function hash(multipliers: Int32Array, seed: number, bytes: Uint8Array, start: number, end: number): number {
  // What is kept in an object may be a number with a fraction, to the engine; without `| 0` all sums would be such.
  let sum = seed | 0
  for (let block = start; ; block += POSITIONS) {
    const blockEnd = Math.min(end, block + POSITIONS)
    for (let at = block; at < blockEnd; at++) {
      // A byte of 0 counts as well, so that it makes another pathname.
      sum = (sum + Math.imul(multipliers[at - block] as number, (bytes[at] as number) + 1)) | 0
    }
    sum = mix(sum)
    if (blockEnd === end) return sum >>> 0
  }
}

/** Lets each bit of the sum change all others; a sum has one outcome, and an outcome one sum. */
function mix(sum: number): number {
  let value = sum ^ (sum >>> 16)
  value = Math.imul(value, 0x85ebca6b)
  value ^= value >>> 13
  value = Math.imul(value, 0xc2b2ae35)
  return value ^ (value >>> 16)
}

function randomKey(): SharedArrayBuffer {
  const key = new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)
  randomBytes(key.byteLength).copy(Buffer.from(key))
  return key
}
