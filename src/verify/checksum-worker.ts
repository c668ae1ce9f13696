import { parentPort, workerData } from 'node:worker_threads'
import { createBatchChecker } from './check-batch.js'
import type { CheckBatch, ChecksumWorkerData } from './checksum-messages.js'

/** A thread that checks batches of files until it is ended. The logic is in `check-batch.ts`. */

const { bytesRead } = workerData as ChecksumWorkerData
const counter = new BigInt64Array(bytesRead)
const checkBatch = createBatchChecker((bytes) => Atomics.add(counter, 0, BigInt(bytes)))

// One batch after the other: the main thread sends the next before this one is done.
let queue = Promise.resolve()
parentPort?.on('message', (batch: CheckBatch) => {
  queue = queue.then(async () => parentPort?.postMessage(await checkBatch(batch)))
})
