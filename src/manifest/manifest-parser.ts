import { inlineStreams, type Sha256Stream } from './checksum/sha256-stream.js'
import { JsonEventReader } from './json/json-events.js'
import { JsonSyntaxError } from './json/json-syntax-error.js'
import { ManifestDigest } from './manifest-digest.js'
import { manifestParseError } from './manifest-error.js'
import { type ManifestHandler, ManifestStructure } from './manifest-structure.js'
import type { ManifestHeader } from './model.js'

export type { ManifestHandler }

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
