import { createHash, type Hash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { HashBuffers, HashMessage, HashReply } from './sha256-messages.js'

/** A thread that hashes what `background-sha256.ts` sends. */
const { memory, isFull, slotBytes } = workerData as HashBuffers
const bytes = Buffer.from(memory)
const flags = new Int32Array(isFull)
const hashes = new Map<number, Hash>()

parentPort?.on('message', (message: HashMessage) => {
  const { stream } = message
  const hash = hashes.get(stream) ?? createHash('sha256')
  hashes.set(stream, hash)
  if (message.slot === undefined) {
    hashes.delete(stream)
    const reply: HashReply = { stream, checksum: hash.digest('hex') }
    parentPort?.postMessage(reply)
    return
  }
  const start = message.slot * slotBytes
  hash.update(bytes.subarray(start, start + message.length))
  Atomics.store(flags, message.slot, 0)
  Atomics.notify(flags, message.slot)
})
