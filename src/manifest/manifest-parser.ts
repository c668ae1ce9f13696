import { inlineStreams, type Sha256Stream } from './checksum/sha256-stream.js'
import { JsonEventReader } from './json/json-events.js'
import { JsonSyntaxError } from './json/json-lexer.js'
import { badManifestError, manifestParseError } from './manifest-error.js'
import { type ManifestHandler, ManifestStructure } from './manifest-structure.js'
import type { ManifestHeader } from './model.js'
import { displayPathname } from '../files/pathname.js'

/** What is known of a manifest when it has been read to its end. */
export interface ManifestSummary extends ManifestHeader {
  /** The manifest's own checksum, which was found to be right. */
  readonly checksum: string
}

/**
 * Reads a manifest of version 1 or 2 from chunks that may end anywhere: bytes in, files and WAL ranges out.
 *
 * Needs memory for one token only. The whole text is read, and every file told, before the manifest's own checksum
 * is compared; so a handler must not act on what it hears until `end()` has returned.
 *
 * Every method throws a {@link PbManifestError} with code `BAD_MANIFEST`, in `pg_verifybackup`'s words.
 *
 * @see src/common/parse_manifest.c
 * @example
 * ```ts
 * const parser = new ManifestParser({ file: (file) => files.push(file), walRange: (range) => ranges.push(range) })
 * for (const chunk of chunks) parser.write(chunk)
 * const { version, systemIdentifier } = parser.end()
 * ```
 */
export class ManifestParser {
  readonly #digest: ManifestDigest
  readonly #structure: ManifestStructure
  readonly #json: JsonEventReader

  /** @param hash - for the manifest's own checksum */
  constructor(handler: ManifestHandler, hash: Sha256Stream = inlineStreams.create()) {
    this.#digest = new ManifestDigest(hash)
    this.#structure = new ManifestStructure(handler)
    this.#json = new JsonEventReader(this.#structure)
  }

  /** Takes the next bytes. */
  write(chunk: Buffer): void {
    this.#digest.update(chunk)
    explainSyntaxErrors(() => this.#json.write(chunk))
  }

  /** Says that the input is complete, and checks it as a whole. */
  end(): ManifestSummary {
    explainSyntaxErrors(() => this.#json.end())
    const { header, expectedChecksum, valueBeforeChecksum } = this.#structure.summary()
    return { ...header, checksum: this.#digest.verify(expectedChecksum, valueBeforeChecksum) }
  }
}

function explainSyntaxErrors(read: () => void): void {
  try {
    read()
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw manifestParseError(error.message, error)
    throw error
  }
}

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
class ManifestDigest {
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
