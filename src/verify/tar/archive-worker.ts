import type { StartArchives } from './archive-messages.js'
import { checkArchives } from './check-archives.js'
import { postToParent, receiveStart } from '../../threads/thread-start.js'

/** A thread that checks archives. The logic is in `check-archives.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartArchives | undefined
  if (start !== undefined) await checkArchives(start, postToParent)
}

void run()
