import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ownPathname } from '../../../../src/files/safe-pathname.js'
import type { ClusterFile } from '../../../../src/transfer/cluster-files/cluster-files.js'
import { planReads } from '../../../../src/transfer/cluster-files/sql/plan-reads.js'

const MiB = 1024 * 1024

function files(sizes: readonly number[]): ClusterFile[] {
  return sizes.map((size, index) => ({
    pathname: ownPathname(String(index)),
    kind: 'file',
    size,
    modified: 0,
  }))
}

test('reads small files together, a large one alone', () => {
  const sizes = [1, 2, 1024 * MiB, 3].map((size) => size)
  expect(planReads(files(sizes)).map((batch) => batch.files.map(({ size }) => size))).toEqual([
    [1, 2],
    [1024 * MiB],
    [3],
  ])
})

test('asks for nothing when there is nothing', () => {
  expect(planReads([])).toEqual([])
})

test('keeps every file, in order, and every query within its bounds', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 300 * MiB }), { maxLength: 3000 }), (sizes) => {
      const list = files(sizes)
      const batches = planReads(list)
      expect(batches.flatMap((batch) => batch.files)).toEqual(list)
      for (const batch of batches) {
        const bytes = batch.files.reduce((sum, { size }) => sum + size, 0)
        expect(batch.files.length).toBeLessThanOrEqual(1000)
        expect(Math.min(bytes, batch.limit)).toBeLessThanOrEqual(128 * MiB)
      }
    }),
  )
})
