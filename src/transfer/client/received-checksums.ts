import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import {
  parseChecksumAlgorithm,
  type RealChecksumAlgorithm,
} from '../../manifest/checksum/checksum-algorithm.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import type { SentFileEvent } from '../commands/replication-command.js'
import type { BackupOptions } from './options.js'

/** The algorithm of a backup's checksums; `undefined` when it has none. */
export function algorithmOf({
  manifest,
  manifestChecksums = 'CRC32C',
}: Pick<BackupOptions, 'manifest' | 'manifestChecksums'>): RealChecksumAlgorithm | undefined {
  const algorithm = manifest === 'no' ? undefined : parseChecksumAlgorithm(manifestChecksums)
  return algorithm === 'NONE' ? undefined : algorithm
}

/**
 * Compares what arrived of each file with what was sent: an agent computes checksums of the bytes that it reads, and here
 * are those that came. Neither TCP's checksum nor a tag that is right says that they are the same.
 *
 * Over SQL there is nothing to compare: checksums are computed here, of what arrived.
 */
export class ReceivedChecksums {
  readonly #hasher: FileHasher
  #pathname: Pathname = ''
  /** It is in no manifest; its records have checksums of their own. */
  #isWal = false

  private constructor(hasher: FileHasher) {
    this.#hasher = hasher
  }

  /**
   * Loads an engine, but not for a backup without checksums.
   *
   * @param work - `much`: the fastest, which takes a moment
   */
  static async load(
    algorithm: RealChecksumAlgorithm | undefined,
    work: 'much' | 'unknown',
  ): Promise<ReceivedChecksums | undefined> {
    if (algorithm === undefined) return undefined
    const { createFileHasher } = await import('../../manifest/checksum/create-file-hasher.js')
    return new ReceivedChecksums(await createFileHasher(algorithm, work))
  }

  /**
   * Takes the events of SEND_FILE, in their order.
   *
   * @throws {@link PbManifestError} `SERVER` at the end of a file that is not as it was sent
   */
  accept(event: SentFileEvent): void {
    switch (event.type) {
      case 'file':
        this.#pathname = event.pathname
        this.#isWal = event.pathname.startsWith('pg_wal/')
        this.#hasher.reset()
        return
      case 'bytes':
        if (!this.#isWal) this.#hasher.update(event.bytes)
        return
      case 'end':
        return this.#isWal ? undefined : this.#compare(event.checksum)
      case 'vanished':
        return
      default:
        event satisfies never
    }
  }

  #compare(sent: string | undefined): void {
    const received = this.#hasher.digest()
    if (received === sent) return
    const what = `file "${displayPathname(this.#pathname)}"`
    throw new PbManifestError('SERVER', `${what} was changed on its way from the agent`, {
      details: [`Its checksum is ${received} here; the agent has sent ${sent ?? 'none'}.`],
      hint: 'Look for a fault of the network or of memory, or connect to the agent with TLS.',
    })
  }
}
