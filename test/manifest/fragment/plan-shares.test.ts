import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planShares, type PlannedFile } from '../../../src/manifest/fragment/fragment-files.js'
import { arbitraryPathname } from '../arbitrary-manifest.js'

const arbitraryPlan = fc.uniqueArray(
  fc.record({
    pathname: arbitraryPathname,
    size: fc.oneof(fc.constant(0), fc.constant(8192), fc.nat(2 ** 30)),
  }),
  { selector: (file) => file.pathname, maxLength: 60 },
)

const arbitraryWorkers = fc.integer({ min: 1, max: 9 })

function names(files: readonly PlannedFile[]): string[] {
  return files.map((file) => file.pathname)
}

function bytes(files: readonly PlannedFile[]): number {
  return files.reduce((sum, file) => sum + file.size, 0)
}

describe('planShares', () => {
  test('puts every file into exactly one share', () => {
    fc.assert(
      fc.property(arbitraryPlan, arbitraryWorkers, (files, workers) => {
        const shares = planShares(files, workers)
        expect(shares).toHaveLength(workers)
        expect(names(shares.flat()).toSorted()).toEqual(names(files).toSorted())
      }),
    )
  })

  test('does not depend on the order in which the files are seen', () => {
    fc.assert(
      fc.property(
        arbitraryPlan.chain((files) =>
          fc.tuple(fc.constant(files), fc.shuffledSubarray(files, { minLength: files.length })),
        ),
        arbitraryWorkers,
        ([files, shuffled], workers) => {
          expect(planShares(shuffled, workers)).toEqual(planShares(files, workers))
        },
      ),
    )
  })

  test('has no share larger than another by more than the largest file', () => {
    fc.assert(
      fc.property(arbitraryPlan, arbitraryWorkers, (files, workers) => {
        const loads = planShares(files, workers).map(bytes)
        const largest = Math.max(0, ...files.map((file) => file.size))
        // A file counts as one byte more than it has.
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(largest + files.length)
      }),
    )
  })

  test('spreads empty files, too', () => {
    const files = Array.from({ length: 40 }, (_, index) => ({ pathname: `f${index}`, size: 0 }))
    expect(planShares(files, 4).map((share) => share.length)).toEqual([10, 10, 10, 10])
  })

  test('keeps the largest files apart', () => {
    const files = [9, 8, 7, 1, 1, 1].map((size, index) => ({ pathname: `f${index}`, size: size * 1000 }))
    expect(planShares(files, 3).map(names)).toEqual([['f0'], ['f1', 'f4'], ['f2', 'f3', 'f5']])
  })

  test('leaves workers without a file when there are too few', () => {
    expect(planShares([{ pathname: 'f', size: 1 }], 3).map(names)).toEqual([['f'], [], []])
  })

  test('orders a share by its pathnames, not by any locale', () => {
    const files = ['b', 'B', 'a', 'é', 'base/10', 'base/9'].map((pathname) => ({ pathname, size: 5 }))
    expect(planShares(files, 1).map(names)).toEqual([['B', 'a', 'b', 'base/10', 'base/9', 'é']])
  })
})
