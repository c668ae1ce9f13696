import { parentPort, workerData } from 'node:worker_threads'
import { checkQueue } from './check-queue.js'
import type { StartChecking } from './checksum-messages.js'

/** A thread that checks the files of one queue. The logic is in `check-queue.ts`. */
await checkQueue(workerData as StartChecking, (message) => parentPort?.postMessage(message))
