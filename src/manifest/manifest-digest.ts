import { displayPathname } from '../files/pathname.js'
import type { Sha256Stream } from './checksum/sha256-stream.js'
import { badManifestError, manifestParseError } from './manifest-error.js'

const LF = 0x0a

/** The state of the hash behind a line feed. */
interface HashedLine {
  readonly hash: Sha256Stream
  readonly end: number
}

/**
 * The manifest's own checksum, taken while the bytes pass by: SHA-256 of everything up to and including the line
 * feed before the last.
 *
 * Which line feed that is shows only at the end, so the state of the hash is kept at the last two of them.
 *
 * @see src/common/parse_manifest.c, verify_manifest_checksum
 */
export class ManifestDigest {
  readonly #hash: Sha256Stream
  #length = 0
  #last: HashedLine | undefined
  #penultimate: HashedLine | undefined

  constructor(hash: Sha256Stream) {
    this.#hash = hash
  }

  update(chunk: Buffer): void {
    const last = chunk.lastIndexOf(LF)
    const penultimate = last > 0 ? chunk.lastIndexOf(LF, last - 1) : -1
    let at = 0
    for (const lineFeed of [penultimate, last]) {
      if (lineFeed === -1) continue
      this.#hash.update(chunk.subarray(at, lineFeed + 1))
      at = lineFeed + 1
      this.#penultimate?.hash.drop()
      this.#penultimate = this.#last
      this.#last = { hash: this.#hash.copy(), end: this.#length + at }
    }
    this.#hash.update(chunk.subarray(at))
    this.#length += chunk.length
  }

  /**
   * Compares with what the manifest says of itself.
   *
   * @param expected - the value of `"Manifest-Checksum"`
   * @param valueBefore - where the last value before `"Manifest-Checksum"` stands. When that is on the last line,
   * the checksum does not cover it, which PostgreSQL's own tools do not notice.
   * @returns the checksum
   */
  verify(expected: string, valueBefore: number): string {
    if (this.#penultimate === undefined || this.#last === undefined) {
      throw manifestParseError('expected at least 2 lines')
    }
    if (this.#last.end !== this.#length) throw manifestParseError('last line not newline-terminated')
    // PostgreSQL takes upper case too, but never writes it: one flipped bit makes "A" of "a".
    if (!/^[0-9a-f]{64}$/.test(expected)) {
      throw badManifestError(`invalid manifest checksum: "${displayPathname(expected.slice(0, 200))}"`)
    }
    if (valueBefore >= this.#penultimate.end) {
      throw manifestParseError('manifest checksum does not stand on a line of its own')
    }
    const checksum = this.#penultimate.hash.digest()
    if (checksum !== expected) throw badManifestError('manifest checksum mismatch')
    return checksum
  }
}
