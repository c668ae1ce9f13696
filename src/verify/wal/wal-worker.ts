import { type StartWalking, walkParts } from './walk-parts.js'
import { postToParent, receiveStart } from '../../threads/supervised-thread.js'

/** A thread that reads parts of the WAL. The logic is in `walk-parts.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartWalking | undefined
  if (start !== undefined) walkParts(start, postToParent)
}

void run()
