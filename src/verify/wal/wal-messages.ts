import type { WalSourceDescription } from './wal-source.js'
import type { ExpectedWal, PartResult, WalPart } from './walk-part.js'

/** What a thread is started with. */
export interface StartWalking {
  readonly source: WalSourceDescription
  readonly expected: ExpectedWal
  readonly parts: readonly WalPart[]
  /** Int32: how many parts were taken by all threads; whether nobody waits for them any more. */
  readonly control: SharedArrayBuffer
}

/** The places in {@link StartWalking.control}. */
export const walkingControl = { taken: 0, isAbandoned: 1 } as const

/** What a thread sends for each part that it has read. */
export interface PartWalked {
  readonly type: 'part'
  readonly index: number
  readonly result: PartResult
}
