import { postToParent, receiveStart } from '../threads/supervised-thread.js'
import { type StartWriting, writeShares } from './write-shares.js'

/** A thread that writes fragments. The logic is in `write-shares.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartWriting | undefined
  if (start === undefined) return
  await writeShares(start, postToParent)
  postToParent({ type: 'done' })
}

void run()
