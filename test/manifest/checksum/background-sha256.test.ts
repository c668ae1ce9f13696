import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import * as fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { allocateRing, commandTypes, DONE, WRITTEN } from '../../../src/manifest/checksum/sha256-ring.js'
// A thread needs what was built.
import type * as Built from '../../../src/manifest/checksum/background-sha256.js'

const built = new URL('../../../dist/src/manifest/checksum/background-sha256.js', import.meta.url)
const { createSha256Streams } = (await import(built.href)) as typeof Built

const sha256 = (pieces: readonly Uint8Array[]): string => {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

test.each([
  ['at once', 0],
  ['in a thread', 1e9],
])('hashes several streams side by side, %s', async (_, expectedBytes) => {
  const streams = createSha256Streams(expectedBytes)
  try {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.nat(2 ** 20).map((length) => new Uint8Array(length).fill(7)),
    )
    const two = fc.tuple(fc.array(piece), fc.array(piece))
    fc.assert(
      fc.property(two, (pieces) => {
        const digests = pieces.map(() => streams.create())
        for (let index = 0; index < Math.max(pieces[0].length, pieces[1].length); index++) {
          pieces.forEach((list, which) => {
            const bytes = Uint8Array.from(list[index] ?? [])
            digests[which]?.update(bytes)
            // The caller may change them.
            bytes.fill(0xff)
          })
        }
        const expected = pieces.map(sha256)
        // A copy goes on by itself.
        const copies = digests.map((stream) => stream.copy())
        copies[0]?.drop()
        copies[1]?.update(Buffer.from('more'))
        expect(digests.map((stream) => stream.digest())).toEqual(expected)
        expect(copies[1]?.digest()).toBe(sha256([...pieces[1], Buffer.from('more')]))
      }),
      { numRuns: 30 },
    )
  } finally {
    await streams.close()
  }
})

test('a thread that is woken without anything to do goes on waiting', async () => {
  const ring = allocateRing()
  const worker = new Worker(new URL('sha256-worker.js', built), { workerData: ring })
  onTestFinished(async () => void (await worker.terminate()))
  const exit = once(worker, 'exit')
  const control = new Int32Array(ring.control)
  while (Atomics.notify(control, WRITTEN) === 0) await setTimeout(1)
  // It sleeps again, and has done nothing in between.
  const isAwake = (): boolean => Atomics.notify(control, WRITTEN) === 0
  while (Atomics.load(control, DONE) === 0 && isAwake()) await setTimeout(1)
  expect(Atomics.load(control, DONE)).toBe(0)
  const digest = [commandTypes.digest, 0, 0]
  const close = [commandTypes.close, 0, 0]
  new Int32Array(ring.commands).set([...digest, ...close])
  Atomics.add(control, WRITTEN, 2)
  Atomics.notify(control, WRITTEN)
  await exit
  expect(Buffer.from(ring.digest).toString('hex')).toBe(sha256([]))
})
