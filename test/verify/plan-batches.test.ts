import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { orderForReading, planBatches } from '../../src/verify/plan-batches.js'

const maxFiles = 64
const maxBytes = 16 * 1024 * 1024

const files = fc.array(
  fc.record({
    pathname: fc.string({ maxLength: 3 }),
    size: fc.oneof(fc.nat(10_000), fc.nat(2 * maxBytes), fc.constant(0)),
  }),
  { maxLength: 300 },
)

test('the largest are read first, and those of one size by their names', () => {
  fc.assert(
    fc.property(files, (list) => {
      const ordered = orderForReading(list)
      expect(ordered).toHaveLength(list.length)
      for (const [index, file] of ordered.entries()) {
        const next = ordered[index + 1] ?? file
        expect(file.size > next.size || (file.size === next.size && file.pathname <= next.pathname)).toBe(
          true,
        )
      }
    }),
  )
})

test('the order does not depend on the order before', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string()), fc.nat(), (names, size) => {
      const list = names.map((pathname, index) => ({ pathname, size: (size * index) % 3 }))
      expect(orderForReading(list.toReversed())).toEqual(orderForReading(list))
    }),
  )
})

test('every file is in one batch, in the order that was given', () => {
  fc.assert(
    fc.property(files, (list) => {
      expect([...planBatches(list)].flat()).toEqual(list)
    }),
  )
})

test('a batch is never empty, never of too many files, and no larger than it must be', () => {
  fc.assert(
    fc.property(files, (list) => {
      for (const batch of planBatches(list)) {
        expect(batch.length).toBeGreaterThan(0)
        expect(batch.length).toBeLessThanOrEqual(maxFiles)
        const withoutLast = batch.slice(0, -1).reduce((sum, { size }) => sum + size, 0)
        expect(withoutLast).toBeLessThan(maxBytes)
      }
    }),
  )
})

test('a batch that another file would fit in is the last', () => {
  fc.assert(
    fc.property(files, (list) => {
      const batches = [...planBatches(list)]
      for (const batch of batches.slice(0, -1)) {
        const bytes = batch.reduce((sum, { size }) => sum + size, 0)
        expect(batch.length === maxFiles || bytes >= maxBytes).toBe(true)
      }
    }),
  )
})
