import { postToParent, receiveStart } from '../threads/thread-start.js'
import { type StartWriting, writeShares } from './write-shares.js'

/** A thread that writes fragments. The logic is in `write-shares.ts`. */
const start = (await receiveStart()) as StartWriting | undefined
if (start !== undefined) {
  await writeShares(start, postToParent)
  postToParent({ type: 'done' })
}
