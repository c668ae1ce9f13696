import { createHash, type Hash } from 'node:crypto'
import { DurableFile } from '../files/durable-file.js'
import {
  formatListSeparator,
  formatManifestChecksum,
  formatManifestHeader,
  formatWalRanges,
} from './format-manifest.js'
import type { ManifestHeader, WalRange } from './model.js'

const BUFFER_BYTES = 256 * 1024

const firstSeparator = Buffer.from(formatListSeparator(true))
const nextSeparator = Buffer.from(formatListSeparator(false))

/**
 * Writes a manifest's file, entry by entry, with its own checksum; it appears whole or not at all.
 *
 * Whoever creates one calls `commit` or `discard`.
 */
export class ManifestOutput {
  readonly #file: DurableFile
  readonly #hash: Hash = createHash('sha256')
  readonly #buffer: Buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #used = 0
  #isFirst = true

  private constructor(file: DurableFile) {
    this.#file = file
  }

  /** @throws {@link PbManifestError} `IO`, as do the other methods but `discard` */
  static async create(path: string, header: ManifestHeader): Promise<ManifestOutput> {
    const output = new ManifestOutput(await DurableFile.create(path))
    await output.#write(Buffer.from(formatManifestHeader(header)))
    return output
  }

  /**
   * Adds a file's entry as it stands on its line.
   *
   * @returns a promise only when there is something to wait for
   */
  addFileLine(line: Buffer): Promise<void> | undefined {
    const separator = this.#isFirst ? firstSeparator : nextSeparator
    this.#isFirst = false
    if (this.#used + separator.length + line.length <= BUFFER_BYTES) {
      this.#used += separator.copy(this.#buffer, this.#used)
      this.#used += line.copy(this.#buffer, this.#used)
      return undefined
    }
    return this.#write(Buffer.concat([separator, line]))
  }

  /**
   * Adds the rest and makes the file durable under its name.
   *
   * @returns the manifest's own checksum
   */
  async commit(walRanges: readonly WalRange[]): Promise<string> {
    await this.#write(Buffer.from(formatWalRanges(walRanges)))
    await this.#flush()
    const checksum = this.#hash.digest('hex')
    await this.#file.write(Buffer.from(formatManifestChecksum(checksum)))
    await this.#file.commit()
    return checksum
  }

  async discard(): Promise<void> {
    await this.#file.discard()
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#used + bytes.length > BUFFER_BYTES) await this.#flush()
    if (bytes.length > BUFFER_BYTES) throw new RangeError('an entry is longer than the buffer')
    this.#used += bytes.copy(this.#buffer, this.#used)
  }

  async #flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#used)
    this.#hash.update(bytes)
    await this.#file.write(bytes)
    this.#used = 0
  }
}
