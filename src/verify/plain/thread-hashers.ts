import { AdaptiveCrc32cHasher } from '../../manifest/checksum/adaptive-crc32c-hasher.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createFileHasher, MUCH_WORK } from '../../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import type { EngineUse } from '../make-report.js'
import type { WorkQueue } from './work-queue.js'

/** So many bytes make it worth it to load the fastest engine when another thread of the process has: in 3 ms, not 55. */
const MUCH_WORK_ONCE_LOADED = 25e6

/**
 * The hashers of one thread, made when they are first needed.
 *
 * While one thread of the process loads the fastest engine for CRC-32C, the others go on with the one that they have; in
 * the middle of their file they go over to it when it is there.
 */
export class ThreadHashers {
  readonly #queue: WorkQueue
  readonly #hashers = new Map<RealChecksumAlgorithm, FileHasher>()
  readonly #onEngine: (use: EngineUse) => void

  /** @param onEngine - is told of each engine before it is used */
  constructor(queue: WorkQueue, onEngine: (use: EngineUse) => void) {
    this.#queue = queue
    this.#onEngine = onEngine
  }

  /** The hasher for the next file; a promise when it has to be made first. */
  of(algorithm: RealChecksumAlgorithm): FileHasher | Promise<FileHasher> {
    return this.#hashers.get(algorithm) ?? this.#load(algorithm)
  }

  async #load(algorithm: RealChecksumAlgorithm): Promise<FileHasher> {
    const hasher = await this.#create(algorithm)
    this.#hashers.set(algorithm, hasher)
    return hasher
  }

  async #create(algorithm: RealChecksumAlgorithm): Promise<FileHasher> {
    const onEngine = (engine: string): void => this.#onEngine({ algorithm, engine })
    if (algorithm === 'CRC32C') {
      return await AdaptiveCrc32cHasher.create({
        isWorthIt: () => this.#isFastestWorthIt(),
        onLoaded: () => this.#queue.engineIsLoaded(),
        onEngine,
      })
    }
    const hasher = await createFileHasher(algorithm)
    onEngine(hasher.engine)
    return hasher
  }

  #isFastestWorthIt(): boolean {
    const queue = this.#queue
    const much = queue.isEngineLoaded ? MUCH_WORK_ONCE_LOADED : MUCH_WORK
    return queue.bytesLeft >= much && queue.mayLoadEngine()
  }
}
