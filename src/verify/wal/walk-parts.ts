import { createWalBuffer } from '../../postgres/wal/wal-buffer.js'
import { Abandoned, Claims } from '../../threads/claims.js'
import { SharedRate, type SharedRateBuffer } from '../../threads/shared-rate.js'
import type { DoneMessage } from '../thread-pool.js'
import { openWalSource } from './file-wal-source.js'
import type { WalSourceDescription } from './wal-source.js'
import {
  type ExpectedWal,
  type PartResult,
  type PartWalk,
  WAL_BUFFER_BYTES,
  walkPart,
  type WalPart,
} from './walk-part.js'

/** What a thread is started with. */
export interface StartWalking {
  readonly source: WalSourceDescription
  readonly expected: ExpectedWal
  readonly parts: readonly WalPart[]
  /** See `Claims`. */
  readonly claims: SharedArrayBuffer
  /** `undefined`: no limit. */
  readonly rate: SharedRateBuffer | undefined
}

/** What a thread sends for each part that it has read. */
export interface PartWalked {
  readonly type: 'part'
  readonly index: number
  readonly result: PartResult
}

/**
 * Reads parts until there is none left that no other thread has taken, or nobody wants to know any more.
 *
 * @param post - is told of each part, and of the end
 */
export function walkParts(start: StartWalking, post: (message: PartWalked | DoneMessage) => void): void {
  try {
    walkTaken(start, post)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  }
  post({ type: 'done' })
}

function walkTaken(
  { source: description, expected, parts, claims: claimsBuffer, rate: rateBuffer }: StartWalking,
  post: (message: PartWalked) => void,
): void {
  const source = openWalSource(description)
  const buffer = createWalBuffer(WAL_BUFFER_BYTES)
  const claims = new Claims(claimsBuffer)
  const rate = rateBuffer && new SharedRate(rateBuffer)
  const onBuffer = (): void => {
    claims.throwIfAbandoned()
    rate?.takeSleeping(WAL_BUFFER_BYTES, () => claims.throwIfAbandoned())
  }
  for (;;) {
    const index = claims.claim()
    const part = parts[index]
    if (part === undefined) return
    post({ type: 'part', index, result: runToEnd(walkPart(source, expected, part, buffer), onBuffer) })
  }
}

/** A source that has a description never has to be waited for. */
function runToEnd(walk: PartWalk, onBuffer: () => void): PartResult {
  for (;;) {
    const step = walk.next()
    if (step.done === true) return step.value
    if (step.value !== undefined) throw new TypeError('bytes of WAL that are still to come')
    onBuffer()
  }
}
