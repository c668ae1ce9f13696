import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory, writeFully } from '../../files/durable-file.js'
import { ioError } from '../../files/system-error.js'
import { formatManifestFile } from '../manifest-parts.js'
import type { ManifestFile } from '../model.js'
import { formatFragmentSeal, type SealedFragment } from './fragment-seal.js'

const BUFFER_CHARACTERS = 64 * 1024

/**
 * Writes one worker's fragment: append-only, sealed once, never edited.
 *
 * A fragment that is abandoned without `seal` has no seal on disk either, so nobody takes it for a whole one.
 */
export class FragmentWriter {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #backupId: string
  readonly #worker: number
  readonly #hash: Hash = createHash('sha256')
  #buffered = ''
  #files = 0
  #bytes = 0

  private constructor(path: string, handle: FileHandle, backupId: string, worker: number) {
    this.#path = path
    this.#handle = handle
    this.#backupId = backupId
    this.#worker = worker
  }

  /**
   * Creates the file. One that exists is refused: it is another worker's, or a finished one of this worker.
   *
   * @throws {@link PbManifestError} `IO`
   */
  static async create(path: string, backupId: string, worker: number): Promise<FragmentWriter> {
    try {
      return new FragmentWriter(path, await open(path, 'wx', 0o600), backupId, worker)
    } catch (error) {
      throw ioError(`could not create file "${path}"`, error)
    }
  }

  /** Records one file. */
  async append(file: ManifestFile): Promise<void> {
    this.#buffered += `${formatManifestFile(file)}\n`
    this.#files++
    this.#bytes += file.size
    if (this.#buffered.length >= BUFFER_CHARACTERS) await this.#flush()
  }

  /**
   * Adds the seal and closes the file.
   *
   * @param isKept - whether it is made durable before; one that is merged and removed in the same run need not be
   */
  async seal(isKept = true): Promise<SealedFragment> {
    await this.#flush()
    const result = { files: this.#files, bytes: this.#bytes, fragmentChecksum: this.#hash.digest('hex') }
    const seal = formatFragmentSeal({ backupId: this.#backupId, worker: this.#worker, ...result })
    try {
      await writeFully(this.#handle, Buffer.from(`${seal}\n`))
      if (isKept) await this.#handle.sync()
      await this.#handle.close()
      if (isKept) await syncDirectory(dirname(this.#path))
    } catch (error) {
      throw ioError(`could not write file "${this.#path}"`, error)
    }
    return result
  }

  /** Closes and removes the file after a failure. Never throws: there is an error on its way already. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(ignore)
    await unlink(this.#path).catch(ignore)
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#buffered)
    this.#buffered = ''
    this.#hash.update(bytes)
    try {
      await writeFully(this.#handle, bytes)
    } catch (error) {
      throw ioError(`could not write file "${this.#path}"`, error)
    }
  }
}

function ignore(): void {
  // Nothing can be done about it, and the first error is the one to report.
}
