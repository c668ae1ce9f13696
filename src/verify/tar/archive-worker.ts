import { parentPort, workerData } from 'node:worker_threads'
import type { StartArchives } from './archive-messages.js'
import { checkArchives } from './check-archives.js'

/** A thread that checks archives. The logic is in `check-archives.ts`. */
await checkArchives(workerData as StartArchives, (message) => parentPort?.postMessage(message))
