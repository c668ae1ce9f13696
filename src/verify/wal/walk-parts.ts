import type { PartWalked, StartWalking } from './wal-messages.js'
import { openWalSource } from './wal-source.js'
import { type PartResult, type PartWalk, walkPart } from './walk-part.js'

/** Reads parts until there is none left that no other thread has taken. */
export function walkParts(start: StartWalking, post: (message: PartWalked) => void): void {
  const source = openWalSource(start.source)
  const taken = new Int32Array(start.taken)
  for (;;) {
    const index = Atomics.add(taken, 0, 1)
    const part = start.parts[index]
    if (part === undefined) return
    post({ index, result: runToEnd(walkPart(source, start.expected, part)) })
  }
}

/** A source that has a description never has to be waited for. */
function runToEnd(walk: PartWalk): PartResult {
  for (;;) {
    const step = walk.next()
    if (step.done === true) return step.value
    if (step.value !== undefined) throw new TypeError('bytes of WAL that are still to come')
  }
}
