import { array, assert, constant, integer, nat, oneof, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ownPathname } from '../../../src/files/safe-pathname.js'
import type { WantedFile } from '../../../src/transfer/client/file-receiver.js'
import { planBatches } from '../../../src/transfer/client/plan-batches.js'

const MiB = 1024 * 1024

function file(pathname: string, size: number): WantedFile {
  return { pathname: ownPathname(pathname), size, mode: 0o600 }
}

const arbitraryFiles = array(oneof(nat(20_000), nat(40 * MiB), constant(1024 * MiB)), { maxLength: 200 }).map(
  (sizes) => sizes.map((size, at) => file(`base/5/${at}`, size)),
)

const arbitraryWorkers = integer({ min: 1, max: 128 })

describe('planBatches', () => {
  test('has every file in exactly one batch, the largest first', () => {
    assert(
      property(arbitraryFiles, arbitraryWorkers, (files, workers) => {
        const planned = planBatches(files, workers).flat()
        expect(planned.map(({ pathname }) => pathname).toSorted()).toEqual(
          files.map(({ pathname }) => pathname).toSorted(),
        )
        const sizes = planned.map(({ size }) => size)
        expect(sizes).toEqual(sizes.toSorted((left, right) => right - left))
      }),
    )
  })

  test('makes no empty batch, and none of several files that is large', () => {
    assert(
      property(arbitraryFiles, arbitraryWorkers, (files, workers) => {
        for (const batch of planBatches(files, workers)) {
          expect(batch.length).toBeGreaterThan(0)
          const bytes = batch.length === 1 ? 0 : batch.reduce((sum, { size }) => sum + size, 0)
          expect(bytes).toBeLessThanOrEqual(16 * MiB)
        }
      }),
    )
  })

  test('does not depend on the order in which the files come', () => {
    const files = [file('a', 5), file('b', 50 * MiB), file('c', 5), file('d', 0), file('e', 7)]
    expect(planBatches(files.toReversed(), 2)).toEqual(planBatches(files, 2))
  })

  test('gives a large file a batch of its own, and puts small ones together', () => {
    const small = Array.from({ length: 10 }, (_, at) => file(`small${at}`, 8192))
    const batches = planBatches([...small, file('large', 64 * MiB), file('other', 32 * MiB)], 4)
    expect(batches.map((batch) => batch.length)).toEqual([1, 1, 10])
  })

  test('makes the last batches smaller than the first, for many files of one size', () => {
    const files = Array.from({ length: 20_000 }, (_, at) => file(`base/5/${at}`, 16_384))
    const lengths = planBatches(files, 4).map((batch) => batch.length)
    expect(lengths.length).toBeGreaterThan(40)
    expect(lengths.at(-1)).toBeLessThan((lengths[0] ?? 0) / 8)
  })
})
