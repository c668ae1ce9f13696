import type { StartArchives } from './archive-messages.js'
import { checkArchives } from './check-archive.js'
import { postToParent, receiveStart } from '../../threads/supervised-thread.js'

/** A thread that checks archives. The logic is in `check-archive.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartArchives | undefined
  if (start !== undefined) await checkArchives(start, postToParent)
}

void run()
