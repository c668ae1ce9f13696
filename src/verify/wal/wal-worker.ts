import { parentPort, workerData } from 'node:worker_threads'
import type { StartWalking } from './wal-messages.js'
import { walkParts } from './walk-parts.js'

/** A thread that reads parts of the WAL. The logic is in `walk-parts.ts`. */
walkParts(workerData as StartWalking, (message) => parentPort?.postMessage(message))
