import { parentPort, workerData } from 'node:worker_threads'
import { runWorker } from './run-worker.js'
import { loadSource } from './source/open-source.js'
import type { SessionSource } from './source/source.js'

/** A thread that copies files. The logic is in `run-worker.ts`. */
async function run(): Promise<void> {
  await loadSource(workerData as SessionSource['kind'])
  if (parentPort !== null) await runWorker(parentPort)
}

void run()
