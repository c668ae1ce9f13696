import { createWalBuffer } from '../../postgres/wal/wal-buffer.js'
import { Abandoned } from '../abandoned.js'
import type { DoneMessage } from '../thread-pool.js'
import { type PartWalked, type StartWalking, walkingControl } from './wal-messages.js'
import { openWalSource } from './file-wal-source.js'
import { type PartResult, type PartWalk, WAL_BUFFER_BYTES, walkPart } from './walk-part.js'

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
  { source: description, expected, parts, control: controlBuffer }: StartWalking,
  post: (message: PartWalked) => void,
): void {
  const source = openWalSource(description)
  const buffer = createWalBuffer(WAL_BUFFER_BYTES)
  const control = new Int32Array(controlBuffer)
  for (;;) {
    const index = Atomics.add(control, walkingControl.taken, 1)
    const part = parts[index]
    if (part === undefined) return
    post({ type: 'part', index, result: runToEnd(walkPart(source, expected, part, buffer), control) })
  }
}

/** A source that has a description never has to be waited for. */
function runToEnd(walk: PartWalk, control: Int32Array): PartResult {
  for (;;) {
    const step = walk.next()
    if (step.done === true) return step.value
    if (step.value !== undefined) throw new TypeError('bytes of WAL that are still to come')
    if (Atomics.load(control, walkingControl.isAbandoned) === 1) throw new Abandoned()
  }
}
