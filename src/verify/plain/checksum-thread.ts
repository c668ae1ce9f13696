import type { PrestartedThread } from '../../threads/prestarted-thread.js'
import type { StartMessage } from '../../threads/thread-start.js'
import type { StartChecking, WorkerMessage } from './checksum-messages.js'

/** What the threads that check files run. */
export const checksumThread: URL = new URL('checksum-worker.js', import.meta.url)

/** One of them, before it is known what there is to check. */
export type ChecksumThread = PrestartedThread<StartMessage<StartChecking>, WorkerMessage>
