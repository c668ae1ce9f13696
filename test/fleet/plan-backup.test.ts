import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { chooseShardCount } from '../../src/fleet/plan-backup.js'

const GB = 1e9

test.each([
  ['one worker gains nothing', 1, { files: 1000, bytes: 1e12 }, 1],
  ['nor do none', 0, { files: 1000, bytes: 1e12 }, 1],
  ['a small backup', 4, { files: 1272, bytes: 40e6 }, 1],
  ['an empty manifest', 4, { files: 0, bytes: 0 }, 1],
  ['four for each worker', 4, { files: 20_000, bytes: 1e12 }, 16],
  ['of 1 GB at least', 4, { files: 4, bytes: 10 * GB }, 9],
  ['of many small files', 4, { files: 64_111, bytes: 4.1 * GB }, 3],
  ['ten million of no size', 100, { files: 10_000_000, bytes: 0 }, 1],
  ['no more than there can be', 1000, { files: 1_000_000, bytes: 1e15 }, 1000],
])('how many shards: %s', (_name, workers, size, shards) => {
  expect(chooseShardCount(workers, size)).toBe(shards)
})

test('more workers or more bytes do not make fewer', () => {
  const counts = fc.record({ files: fc.nat(1e8), bytes: fc.maxSafeNat() })
  fc.assert(
    fc.property(fc.nat(2000), counts, fc.nat(1e12), (workers, size, more) => {
      const shards = chooseShardCount(workers, size)
      expect(chooseShardCount(workers + 1, size)).toBeGreaterThanOrEqual(shards)
      const larger = { ...size, bytes: size.bytes + more }
      expect(chooseShardCount(workers, larger)).toBeGreaterThanOrEqual(shards)
    }),
  )
})
