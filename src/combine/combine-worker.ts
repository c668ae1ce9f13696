import { postToParent, receiveStart } from '../threads/supervised-thread.js'
import { Abandoned } from '../threads/claims.js'
import { combineShares, type StartCombining } from './combine-shares.js'

/** A thread that makes files of a combination. The logic is in `combine-shares.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartCombining | undefined
  if (start === undefined) return
  try {
    await combineShares(start, postToParent)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  }
  postToParent({ type: 'done' })
}

void run()
