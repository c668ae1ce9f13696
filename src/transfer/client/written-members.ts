import type { Pathname } from '../../files/pathname.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createFileHasher } from '../../manifest/checksum/create-file-hasher.js'
import {
  keepsContent,
  type WrittenArchives,
  type WrittenFile,
} from '../../manifest/contents/written-archives.js'
import type { BackupTarget, TargetEntry } from '../../target/backup-target.js'
import { SETTINGS_FILE, SIGNAL_FILE } from '../../target/recovery-settings.js'
import type { ReceivedFile } from './file-receiver.js'

/** Writes down what the archives of a backup are given, so that its closing check need not unpack them. */
export class WrittenMembers {
  readonly #files: WrittenFile[] = []
  #directories: readonly Pathname[] = []

  /** @param directories - as they are handed to the target */
  begin(directories: readonly TargetEntry[]): void {
    this.#directories = directories.map(({ pathname }) => pathname)
  }

  /** A file has come, and went into its archive. */
  add({ pathname, size, content }: ReceivedFile): void {
    this.#files.push({ pathname, size, content })
  }

  /**
   * A file that was made here.
   *
   * @returns its checksum
   */
  async addMade(
    pathname: Pathname,
    content: Buffer,
    algorithm: RealChecksumAlgorithm | undefined,
  ): Promise<string | undefined> {
    this.#files.push({ pathname, size: content.length, content })
    if (algorithm === undefined) return undefined
    const hasher = await createFileHasher(algorithm, 'unknown')
    hasher.reset()
    hasher.update(content)
    return hasher.digest()
  }

  /**
   * To be called when all is written.
   *
   * @returns `undefined` of a target that keeps no archives
   */
  conclude({ archiveSizes: sizes, files: place }: BackupTarget): WrittenArchives | undefined {
    if (sizes === undefined) return undefined
    const settings = place.kind === 'directory' ? undefined : place.recoverySettings
    const files = settings === undefined ? this.#files : this.#withSettings(settings)
    return { sizes, files, directories: this.#directories }
  }

  /** The files that `-R` writes are as the target has made them. */
  #withSettings(settings: Uint8Array): WrittenFile[] {
    const others = this.#files.filter(
      ({ pathname }) => pathname !== SETTINGS_FILE && pathname !== SIGNAL_FILE,
    )
    const sent = this.#files.find(({ pathname }) => pathname === SETTINGS_FILE)
    const size = (sent?.size ?? 0) + settings.length
    const start = sent === undefined ? Buffer.alloc(0) : sent.content
    const content = start && keepsContent(SETTINGS_FILE, size) ? Buffer.concat([start, settings]) : undefined
    const signal = this.#files.find(({ pathname }) => pathname === SIGNAL_FILE)
    return [
      ...others,
      { pathname: SETTINGS_FILE, size, content },
      signal ?? { pathname: SIGNAL_FILE, size: 0, content: Buffer.alloc(0) },
    ]
  }
}
