import { FASTEST_ENGINE, loadAwsCrc32c, loadCrc32cHasher } from './crc32c-engines.js'
import type { FileHasher } from './file-hasher.js'
import { type Crc32c, NativeCrc32cHasher } from './file-hasher.js'

/** After so many bytes it is asked whether the fastest engine is worth its loading. */
const BYTES_BETWEEN_LOOKS = 16 * 1024 * 1024

/** When a hasher goes over to the fastest engine, and who is told. */
export interface AdaptiveOptions {
  /**
   * Whether loading the fastest engine is worth it now. Not asked any more once it has said so.
   *
   * @param bytes - how many were hashed so far, of all files
   */
  readonly isWorthIt: (bytes: number) => boolean
  /** It was loaded, or cannot be. */
  readonly onLoaded?: () => void
  /** Is told of each engine before it is used. */
  readonly onEngine?: (engine: string) => void
}

/**
 * CRC-32C by an engine that is ready at once, and by the fastest one when that is worth its loading: from the beginning,
 * or from the middle of a file.
 */
export class AdaptiveCrc32cHasher implements FileHasher {
  readonly #options: AdaptiveOptions
  #hasher: FileHasher
  #isFastest = false
  /** Takes the place of the other one with the next file. */
  #next: FileHasher | undefined
  #bytes = 0
  #nextLook = BYTES_BETWEEN_LOOKS

  private constructor(hasher: FileHasher, options: AdaptiveOptions) {
    this.#hasher = hasher
    this.#options = options
  }

  static async create(options: AdaptiveOptions): Promise<AdaptiveCrc32cHasher> {
    const isMuch = options.isWorthIt(0)
    const hasher = await loadCrc32cHasher(isMuch ? 'much' : 'little')
    const adaptive = new AdaptiveCrc32cHasher(hasher, options)
    adaptive.#isFastest = isMuch
    if (isMuch) options.onLoaded?.()
    options.onEngine?.(hasher.engine)
    return adaptive
  }

  get engine(): string {
    return this.#hasher.engine
  }

  reset(): void {
    this.#hasher = this.#next ?? this.#hasher
    this.#next = undefined
    this.#hasher.reset()
  }

  update(bytes: Uint8Array): void {
    this.#hasher.update(bytes)
    this.#bytes += bytes.length
    if (this.#bytes >= this.#nextLook) this.#look()
  }

  digest(): string {
    return this.#hasher.digest()
  }

  findOther(bytes: Uint8Array, start: number): string | undefined {
    return this.#hasher.findOther(bytes, start)
  }

  #look(): void {
    this.#nextLook = this.#bytes + BYTES_BETWEEN_LOOKS
    if (this.#isFastest || !this.#options.isWorthIt(this.#bytes)) return
    this.#isFastest = true
    const crc32c = loadIfThere()
    this.#options.onLoaded?.()
    if (crc32c === undefined) return
    this.#options.onEngine?.(FASTEST_ENGINE)
    if (this.#hasher instanceof NativeCrc32cHasher) this.#hasher.use(FASTEST_ENGINE, crc32c)
    else this.#next = new NativeCrc32cHasher(FASTEST_ENGINE, crc32c)
  }
}

function loadIfThere(): Crc32c | undefined {
  try {
    return loadAwsCrc32c()
  } catch {
    // Not installed, or not for this platform: what is there will do.
    return undefined
  }
}
