import type { ExpectedPages } from './page-check.js'
import type { WantedBlocks } from './block-touches.js'
import type { WalPosition } from './wal-position.js'

/** What a stretch of WAL should be, and where in it to begin and to end. */
export interface WalStretch extends ExpectedPages {
  /**
   * Where the wanted records begin: one must begin exactly there. Those before it on its page are read too, as
   * pg_waldump does; of earlier pages in the segment only the headers. `undefined`: with the first record that begins in
   * the stretch.
   */
  readonly startLsn: bigint | undefined
  /** A record must end exactly there. */
  readonly endLsn: bigint
  /** Where another walker has come to, to go on from there. */
  readonly position: WalPosition | undefined
  /** Blocks of which it is to be known which record touches them first. */
  readonly wanted?: WantedBlocks | undefined
}
