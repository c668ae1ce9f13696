import type { WalSourceDescription } from './wal-source.js'
import type { ExpectedWal, PartResult, WalPart } from './walk-part.js'

/** What a thread is started with. */
export interface StartWalking {
  readonly source: WalSourceDescription
  readonly expected: ExpectedWal
  readonly parts: readonly WalPart[]
  /** See `Claims`. */
  readonly claims: SharedArrayBuffer
}

/** What a thread sends for each part that it has read. */
export interface PartWalked {
  readonly type: 'part'
  readonly index: number
  readonly result: PartResult
}
