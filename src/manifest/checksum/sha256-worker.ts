import { createHash, type Hash } from 'node:crypto'
import { workerData } from 'node:worker_threads'
import { SharedCount } from '../../threads/wake-up.js'
import {
  COMMAND_NUMBERS,
  commandTypes,
  DONE,
  PLACE_BYTES,
  PLACES,
  type RingBuffers,
  WRITTEN,
} from './sha256-ring.js'

/** A thread that does what `background-sha256.ts` writes into the ring. */
const ring = workerData as RingBuffers
const control = new Int32Array(ring.control)
const writtenCount = new SharedCount(control, WRITTEN)
const doneCount = new SharedCount(control, DONE)
const commands = new Int32Array(ring.commands)
const bytes = Buffer.from(ring.bytes)
const digest = Buffer.from(ring.digest)
const hashes = new Map<number, Hash>()

let isOpen = true
for (let done = 0; isOpen; done = (done + 1) | 0) {
  // In a loop: the other side counts first and then notifies, so a call may come when what it is for is done.
  while (writtenCount.value === done) writtenCount.sleepWhile(done)
  isOpen = obey((done >>> 0) % PLACES)
  doneCount.add()
}

/** Returns whether more is to come. */
function obey(place: number): boolean {
  const [type, stream = 0, number = 0] = commands.subarray(COMMAND_NUMBERS * place)
  switch (type) {
    case commandTypes.update: {
      const start = PLACE_BYTES * place
      hashOf(stream).update(bytes.subarray(start, start + number))
      return true
    }
    case commandTypes.copy:
      hashes.set(stream, hashOf(number).copy())
      return true
    case commandTypes.digest:
      digest.set(hashOf(stream).digest())
      hashes.delete(stream)
      return true
    case commandTypes.drop:
      hashes.delete(stream)
      return true
    default:
      return false
  }
}

function hashOf(stream: number): Hash {
  const hash = hashes.get(stream) ?? createHash('sha256')
  hashes.set(stream, hash)
  return hash
}
