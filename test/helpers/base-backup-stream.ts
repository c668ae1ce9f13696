import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A tar archive of a base backup, stored in a file. */
export interface BackupArchive {
  /** `base.tar`, or `<oid>.tar` for a tablespace. */
  readonly name: string
  /** Where the tablespace is on the server; empty for `base.tar`. */
  readonly location: string
  readonly path: string
}

/**
 * Takes the CopyData messages of a base backup apart: archives go to files, the manifest to memory.
 *
 * @see https://www.postgresql.org/docs/18/protocol-replication.html
 */
export class BaseBackupStream {
  readonly #directory: string
  readonly #archives: BackupArchive[] = []
  readonly #manifest: Buffer[] = []
  #file: number | undefined
  #inManifest = false

  /** @param directory - Where the archives are written. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** The first byte of a message says what the rest of it is. */
  accept(message: Buffer): void {
    const kind = String.fromCharCode(message[0] ?? 0)
    const body = message.subarray(1)
    switch (kind) {
      case 'n':
        this.#openArchive(body)
        break
      case 'm':
        this.close()
        this.#inManifest = true
        break
      case 'd':
        this.#acceptBytes(body)
        break
      case 'p':
        break
      default:
        throw new Error(`unknown kind "${kind}" of base backup message`)
    }
  }

  /** Ends the archive that is being written. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  get archives(): readonly BackupArchive[] {
    return this.#archives
  }

  get manifest(): Buffer {
    return Buffer.concat(this.#manifest)
  }

  #openArchive(body: Buffer): void {
    this.close()
    const [name = '', location = ''] = body.toString().split('\0')
    const path = join(this.#directory, name)
    this.#archives.push({ name, location, path })
    this.#file = openSync(path, 'wx')
  }

  #acceptBytes(bytes: Buffer): void {
    // The connection reuses the memory of a message.
    if (this.#inManifest) this.#manifest.push(Buffer.from(bytes))
    else if (this.#file === undefined) throw new Error('base backup data before the name of its archive')
    else writeSync(this.#file, bytes)
  }
}
