import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { createFileHasher, type FileHasher } from '../manifest/checksum/file-hasher.js'
import type { WorkQueue } from './work-queue.js'

/** What computed checksums of an algorithm: the name of a package, or `node:crypto`. */
export interface EngineUse {
  readonly algorithm: RealChecksumAlgorithm
  readonly engine: string
}

/** From so many bytes that are still to be read, the fastest engine saves more time than its loading takes. */
const MUCH_BYTES = 400e6

/**
 * The hashers of one thread, made when they are first needed.
 *
 * While one thread of the process loads the fastest engine, the others go on with the one that they have: for them
 * loading it is quick when it has been loaded once.
 */
export class ThreadHashers {
  readonly #queue: WorkQueue
  readonly #hashers = new Map<RealChecksumAlgorithm, FileHasher>()
  readonly #onEngine: (use: EngineUse) => void
  #isFastest = false

  /** @param onEngine - is told of each engine before it is used */
  constructor(queue: WorkQueue, onEngine: (use: EngineUse) => void) {
    this.#queue = queue
    this.#onEngine = onEngine
  }

  /** The hasher for the next file; a promise when it has to be made first. */
  of(algorithm: RealChecksumAlgorithm): FileHasher | Promise<FileHasher> {
    if (algorithm === 'CRC32C' && !this.#isFastest && this.#isWorthIt()) return this.#loadFastest()
    return this.#hashers.get(algorithm) ?? this.#load(algorithm, 'little')
  }

  #isWorthIt(): boolean {
    return this.#queue.bytesLeft >= MUCH_BYTES && this.#queue.mayLoadEngine()
  }

  async #loadFastest(): Promise<FileHasher> {
    this.#isFastest = true
    const hasher = await this.#load('CRC32C', 'much')
    this.#queue.engineIsLoaded()
    return hasher
  }

  async #load(algorithm: RealChecksumAlgorithm, work: 'much' | 'little'): Promise<FileHasher> {
    const hasher = await createFileHasher(algorithm, work)
    this.#hashers.set(algorithm, hasher)
    this.#onEngine({ algorithm, engine: hasher.engine })
    return hasher
  }
}
