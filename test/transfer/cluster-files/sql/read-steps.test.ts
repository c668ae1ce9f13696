import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { planReads } from '../../../../src/transfer/cluster-files/sql/read-steps.js'

const MiB = 1024 * 1024

function planned(sizes: readonly (number | undefined)[]): (number | undefined)[][] {
  const files = sizes.map((size, index) => ({ pathname: String(index), size }))
  const batches = planReads(files)
  expect(batches.flat()).toEqual(files)
  return batches.map((batch) => batch.map(({ size }) => size))
}

test('reads small files together, a large one alone', () => {
  expect(planned([1, 2, 1024 * MiB, 3])).toEqual([[1, 2], [1024 * MiB], [3]])
})

test('reads segments of WAL as many as fit', () => {
  const segments = Array.from({ length: 20 }, () => 16 * MiB)
  expect(planned(segments).map((batch) => batch.length)).toEqual([8, 8, 4])
})

test('reads alone what nobody knows the size of', () => {
  expect(planned([1, undefined, undefined, 2])).toEqual([[1], [undefined], [undefined], [2]])
})

test('asks for nothing when there is nothing', () => {
  expect(planned([])).toEqual([])
})

test('keeps every file, in order, and every query within its bounds', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 300 * MiB }), { maxLength: 3000 }), (sizes) => {
      for (const batch of planned(sizes)) {
        expect(batch.length).toBeLessThanOrEqual(1000)
        const bytes = batch.reduce<number>((sum, size = 0) => sum + size, 0)
        expect(batch.length === 1 || bytes <= 128 * MiB).toBe(true)
      }
    }),
  )
})
