import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory, writeFully } from '../../files/durable-file.js'
import { PbManifestError } from '../../errors.js'
import { ioError } from '../../files/system-error.js'
import { formatManifestFile } from '../manifest-parts.js'
import type { ManifestFile } from '../model.js'
import { formatFragmentSeal, type SealedFragment } from './fragment-lines.js'

const BUFFER_CHARACTERS = 64 * 1024

/**
 * Writes one worker's fragment: append-only, sealed once, never edited.
 *
 * A fragment that is abandoned without `seal` has no seal on disk either, so nobody takes it for a whole one.
 */
export class FragmentWriter {
  #path: string
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

  /**
   * Goes on with the fragment that a worker left by `suspend`: keeps the first of its files, and forgets the others. The
   * one that is there is not touched before that is done, and what still has it open does no harm to the new one.
   *
   * @param files - how many are kept; 0: it need not be there
   * @throws {@link PbManifestError} `IO`; `BAD_FRAGMENT` when it has fewer, or is sealed
   */
  static async continue(
    path: string,
    backupId: string,
    worker: number,
    files: number,
  ): Promise<FragmentWriter> {
    const draft = `${path}.continued`
    await unlink(draft).catch(ignore)
    const writer = await FragmentWriter.create(draft, backupId, worker)
    try {
      if (files > 0) await writer.#takeOver(path, files)
      await rename(draft, path)
      writer.#path = path
      return writer
    } catch (error) {
      await writer.discard()
      throw ioError(`could not continue file "${path}"`, error)
    }
  }

  async #takeOver(path: string, files: number): Promise<void> {
    // Nobody else needs it, and it brings the schemas along.
    const { readFragment } = await import('./read-fragment.js')
    const end = await readFragment(path, {
      onLine: ({ bytes, start, end, size }) => {
        if (this.#files < files) this.#add(bytes.toString('utf8', start, end), size)
      },
      onBlock: () => this.#flush(),
    })
    if (end.type === 'seal') throw new PbManifestError('BAD_FRAGMENT', `fragment "${path}" is sealed`)
    if (this.#files < files) {
      throw new PbManifestError(
        'BAD_FRAGMENT',
        `the session that is gone has recorded ${this.#files} files, and not ${files}`,
      )
    }
  }

  /** Records one file. */
  async append(file: ManifestFile): Promise<void> {
    this.#add(formatManifestFile(file), file.size)
    if (this.#buffered.length >= BUFFER_CHARACTERS) await this.#flush()
  }

  #add(line: string, size: number): void {
    this.#buffered += `${line}\n`
    this.#files++
    this.#bytes += size
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

  /** Closes the file without a seal, for `continue`. Never throws: what is missing then is missed there. */
  async suspend(): Promise<void> {
    await this.#flush().catch(ignore)
    await this.#handle.close().catch(ignore)
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
