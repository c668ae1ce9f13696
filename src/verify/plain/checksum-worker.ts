import type { StartChecking } from './checksum-messages.js'
import { checkQueue } from './check-queue.js'
import { postToParent, receiveStart } from '../../threads/supervised-thread.js'

/** A thread that checks the files of one queue. The logic is in `check-queue.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartChecking | undefined
  if (start !== undefined) await checkQueue(start, postToParent)
}

void run()
