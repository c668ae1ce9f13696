import { chmod, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from '../files/durable-file.js'
import { ioError } from '../files/system-error.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import { UNFINISHED_MANIFEST } from '../manifest/contents/made-by-backup.js'
import { readMajorVersion } from '../manifest/data-directory-files.js'
import { createBackupId, fragmentFileName } from '../manifest/fragment/backup-id.js'
import { FragmentWriter } from '../manifest/fragment/fragment-writer.js'
import { formatLastModified } from '../manifest/manifest-parts.js'
import { mergeFragments } from '../manifest/merge/merge-fragments.js'
import { BACKUP_LABEL } from '../postgres/data-directory.js'
import type { CheckedInput } from './check-inputs.js'

/** The manifest of the result: a fragment of each share, merged at the end. */
export class ResultManifest {
  readonly backupId: string = createBackupId()
  readonly algorithm: ChecksumAlgorithm
  readonly #directory: string
  readonly #fileMode: number

  constructor(directory: string, fileMode: number, algorithm: ChecksumAlgorithm) {
    this.#directory = directory
    this.#fileMode = fileMode
    this.algorithm = algorithm
  }

  /** Lists the label, which comes first: it is no thread's. */
  async addLabel(label: Buffer): Promise<void> {
    const { algorithm } = this
    const writer = await FragmentWriter.create(this.#fragment(0), this.backupId, 0)
    await writer.append({
      pathname: BACKUP_LABEL,
      size: label.length,
      lastModified: formatLastModified(new Date()),
      checksum: algorithm === 'NONE' ? undefined : { algorithm, hex: await sumOf(label, algorithm) },
      isPathEncoded: false,
    })
    await writer.seal(false)
  }

  /**
   * Merges the fragments into a manifest that is not yet under its name.
   *
   * @param shares - how many fragments there are besides the label's
   * @returns its own checksum
   * @throws {@link PbManifestError} `CANNOT_MERGE`, `IO` or `ABORTED`
   */
  async merge(
    shares: number,
    { member, manifest }: CheckedInput,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const fragments = Array.from({ length: shares + 1 }, (_, worker) => this.#fragment(worker))
    const path = join(this.#directory, UNFINISHED_MANIFEST)
    const major = readMajorVersion(member.directory)
    const { checksum } = await mergeFragments({
      fragments,
      workers: fragments.length,
      output: path,
      manifestVersion: 2,
      walRanges: manifest?.walRanges ?? [],
      ...(member.control && { systemIdentifier: member.control.systemIdentifier }),
      ...(major !== undefined && { serverVersion: major }),
      ...(signal && { signal }),
    })
    try {
      await chmod(path, this.#fileMode)
      for (const fragment of fragments) await unlink(fragment)
    } catch (error) {
      throw ioError(`could not complete directory "${this.#directory}"`, error)
    }
    return checksum
  }

  /** Gives it its name, which says that the backup is complete. */
  async appear(sync: boolean): Promise<void> {
    try {
      await rename(join(this.#directory, UNFINISHED_MANIFEST), join(this.#directory, 'backup_manifest'))
      if (sync) await syncDirectory(this.#directory)
    } catch (error) {
      throw ioError(`could not rename file "${this.#directory}/${UNFINISHED_MANIFEST}"`, error)
    }
  }

  #fragment(worker: number): string {
    return join(this.#directory, fragmentFileName(this.backupId, worker))
  }
}

async function sumOf(bytes: Buffer, algorithm: Exclude<ChecksumAlgorithm, 'NONE'>): Promise<string> {
  const hasher = await createFileHasher(algorithm, 'unknown')
  hasher.reset()
  hasher.update(bytes)
  return hasher.digest()
}
