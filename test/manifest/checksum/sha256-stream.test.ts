import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
// A thread needs what was built.
import type * as Built from '../../../src/manifest/checksum/sha256-stream.js'

const built = new URL('../../../dist/src/manifest/checksum/sha256-stream.js', import.meta.url)
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
    await fc.assert(
      fc.asyncProperty(two, async (pieces) => {
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
        expect(await Promise.all(digests.map((stream) => stream.digest()))).toEqual(expected)
      }),
      { numRuns: 30 },
    )
  } finally {
    await streams.close()
  }
})

test('says so when its thread has ended', async () => {
  const streams = createSha256Streams(1e9)
  const stream = streams.create()
  stream.update(Buffer.from('abc'))
  await streams.close()
  await expect(stream.digest()).rejects.toMatchObject({
    code: 'IO',
    message: 'the thread that computes SHA-256 ended unexpectedly',
  })
})
