import type { WalRange } from '../../manifest/model.js'
import { SharedCount } from '../../threads/wake-up.js'

/** The first of three places says how often it was told. */
const START = 1
const END = 2

/**
 * The stretch of WAL that is replayed when the backup is restored, in memory that threads share. The manifest names it
 * after its files, so threads may ask before it is known; they wait then.
 */
export class ReplayedWal {
  readonly buffer: SharedArrayBuffer
  readonly #told: SharedCount
  readonly #lsns: BigUint64Array

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(3 * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer
    this.#told = new SharedCount(new Int32Array(buffer))
    this.#lsns = new BigUint64Array(buffer)
  }

  /** @param ranges - newest timeline first; of none, no page is newer than the backup's start */
  tell(ranges: readonly WalRange[]): void {
    const [newest, oldest] = [ranges[0], ranges.at(-1)]
    this.#lsns[START] = oldest?.startLsn ?? 1n
    this.#lsns[END] = newest?.endLsn ?? 0n
    this.#told.add()
  }

  /**
   * Whether a page was changed by this WAL. Its first change is there as an image of the whole page, so it does not matter
   * how it was copied. An LSN beyond the end is no page's that was copied before the end: it is damage.
   *
   * @param lsn - the page's: the end of the record
   */
  writesPageOf(lsn: bigint): boolean {
    while (this.#told.value === 0) this.#told.sleepWhile(0)
    return lsn >= (this.#lsns[START] ?? 0n) && lsn <= (this.#lsns[END] ?? 0n)
  }
}
