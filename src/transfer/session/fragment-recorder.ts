import { type Pathname, isUtf8Pathname } from '../../files/pathname.js'
import { createFileHasher } from '../../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { FragmentWriter } from '../../manifest/fragment/fragment-writer.js'
import { formatLastModified } from '../../manifest/manifest-parts.js'
import type { FileChecksum } from '../../manifest/model.js'
import { type BackupDescription, fragmentPath } from './backup.js'

/** A file that was sent. */
export interface SentFile {
  readonly pathname: Pathname
  readonly size: number
  /** Seconds since 1970. */
  readonly modified: number
}

/** Records what one session sends in its fragment, with checksums of the very bytes. */
export class FragmentRecorder {
  readonly #description: BackupDescription
  readonly #writer: FragmentWriter
  readonly #hasher: FileHasher | undefined

  private constructor(
    description: BackupDescription,
    writer: FragmentWriter,
    hasher: FileHasher | undefined,
  ) {
    this.#description = description
    this.#writer = writer
    this.#hasher = hasher
  }

  /**
   * Creates the fragment.
   *
   * @param kept - of a worker whose fragment may be there: how many of its files stay in it
   * @throws {@link PbManifestError} `IO`; `BAD_FRAGMENT` when there are not that many
   */
  static async create(
    description: BackupDescription,
    worker: number,
    kept?: number,
  ): Promise<FragmentRecorder> {
    const { id, checksumAlgorithm } = description
    const hasher =
      checksumAlgorithm === 'NONE' ? undefined : await createFileHasher(checksumAlgorithm, 'unknown')
    const path = fragmentPath(description, worker)
    const writer =
      kept === undefined
        ? await FragmentWriter.create(path, id, worker)
        : await FragmentWriter.continue(path, id, worker, kept)
    return new FragmentRecorder(description, writer, hasher)
  }

  beginFile(): void {
    this.#hasher?.reset()
  }

  update(bytes: Buffer): void {
    this.#hasher?.update(bytes)
  }

  /**
   * Records the file.
   *
   * @returns its checksum, in hexadecimal; `undefined` with NONE
   * @throws {@link PbManifestError} `IO`
   */
  async endFile(file: SentFile): Promise<string | undefined> {
    const checksum = this.#digest()
    await this.#writer.append({
      pathname: file.pathname,
      size: file.size,
      lastModified: formatLastModified(new Date(file.modified * 1000)),
      checksum,
      isPathEncoded: this.#description.manifest === 'force-encode' || !isUtf8Pathname(file.pathname),
    })
    return checksum?.hex
  }

  /** Records a file that the backup itself has made. */
  async recordBytes(pathname: Pathname, bytes: Buffer): Promise<void> {
    this.beginFile()
    this.update(bytes)
    await this.endFile({ pathname, size: bytes.length, modified: Math.floor(Date.now() / 1000) })
  }

  /** Ends the fragment for good. When this fails, no fragment is left. */
  async seal(): Promise<void> {
    try {
      await this.#writer.seal()
    } catch (error) {
      await this.#writer.discard()
      throw error
    }
  }

  /** Leaves the fragment to another session of the same worker. Never throws. */
  async suspend(): Promise<void> {
    await this.#writer.suspend()
  }

  /** Removes the fragment. Never throws. */
  async discard(): Promise<void> {
    await this.#writer.discard()
  }

  #digest(): FileChecksum | undefined {
    const { checksumAlgorithm } = this.#description
    if (checksumAlgorithm === 'NONE' || this.#hasher === undefined) return undefined
    return { algorithm: checksumAlgorithm, hex: this.#hasher.digest() }
  }
}
