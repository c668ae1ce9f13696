import { postToParent, receiveStart } from '../../threads/supervised-thread.js'
import type { StartChecking } from '../plain/checksum-messages.js'
import { checkObjects } from './check-objects.js'

/** A thread that checks the objects of one queue. The logic is in `check-objects.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartChecking | undefined
  if (start !== undefined) await checkObjects(start, postToParent)
}

void run()
