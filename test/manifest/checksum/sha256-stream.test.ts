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
