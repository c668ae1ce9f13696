import { postToParent, receiveStart } from '../../threads/supervised-thread.js'
import { type StartUnpacking, unpackArchive } from './unpack-archive.js'

/** A thread that unpacks an archive. The logic is in `unpack-archive.ts`. */
async function run(): Promise<void> {
  const start = (await receiveStart()) as StartUnpacking | undefined
  if (start !== undefined) await unpackArchive(start, postToParent)
}

void run()
