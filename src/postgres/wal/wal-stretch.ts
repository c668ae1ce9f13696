import type { ExpectedPages } from './page-check.js'
import type { WantedBlocks } from './block-touches.js'

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
  readonly onRecord?: RecordListener | undefined
}

/**
 * Is told of each good record from the beginning of the stretch on, of which `known` bytes are in `view` from `at` on.
 *
 * @param endLsn - where it ends, with what a SWITCH leaves empty behind it
 * @returns whether it is the last one that is wanted
 */
export type RecordListener = (view: DataView, at: number, known: number, endLsn: bigint) => boolean

/** Between two records: all that must be known to go on reading from there. */
export interface WalPosition {
  /** Where the last record ends. The next one begins there, behind the page's header if that is the start of a page. */
  readonly lsn: bigint
  /** Where the last record begins. */
  readonly previousLsn: bigint
  /** That of the last page before the segment in which reading goes on. */
  readonly timeline: number
  /** The record that was given up unfinished just before, if one was. */
  readonly abandonedLsn: bigint | undefined
}

/** What was met first by a reader that did not begin at a known position. */
export interface FirstRecord {
  readonly lsn: bigint
  /** Where it says that the record before it begins. */
  readonly previousLsn: bigint
  /** The timeline of the first page that was read. */
  readonly timeline: number
}

/** Where WAL is not as it should be. */
export interface WalFault {
  /** Of the record, or of the page. */
  readonly lsn: bigint
  readonly what: 'record' | 'page'
  /** In the words of PostgreSQL's reader, where it has words for it. */
  readonly reason: string
}
