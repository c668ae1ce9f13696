import { createHash, type Hash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { HashBuffers, HashMessage } from './sha256-messages.js'

/** A thread that hashes what `background-sha256.ts` sends. */
const buffers = workerData as HashBuffers
const bytes = Buffer.from(buffers.memory)
const isFull = new Int32Array(buffers.isFull)
const isDigested = new Int32Array(buffers.isDigested)
const digest = Buffer.from(buffers.digest)
const hashes = new Map<number, Hash>()

parentPort?.on('message', (message: HashMessage) => {
  const { type, stream } = message
  switch (type) {
    case 'update': {
      const { slot, length } = message
      const start = slot * buffers.slotBytes
      hashOf(stream).update(bytes.subarray(start, start + length))
      Atomics.store(isFull, slot, 0)
      Atomics.notify(isFull, slot)
      break
    }
    case 'copy':
      hashes.set(stream, hashOf(message.of).copy())
      break
    case 'digest':
      digest.set(hashOf(stream).digest())
      hashes.delete(stream)
      Atomics.store(isDigested, 0, 1)
      Atomics.notify(isDigested, 0)
      break
    case 'drop':
      hashes.delete(stream)
      break
    default:
      message satisfies never
  }
})

function hashOf(stream: number): Hash {
  const hash = hashes.get(stream) ?? createHash('sha256')
  hashes.set(stream, hash)
  return hash
}
