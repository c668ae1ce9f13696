import { parentPort, workerData } from 'node:worker_threads'
import { runWorker, type StartWorker } from './run-worker.js'

/** A thread that copies files. The logic is in `run-worker.ts`. */
if (parentPort !== null) await runWorker(workerData as StartWorker, parentPort)
