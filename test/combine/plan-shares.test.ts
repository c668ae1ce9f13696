import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { cutShares, packShares, shareOf } from '../../src/combine/plan-shares.js'

const files = fc.array(
  fc.record({ pathname: fc.string({ minLength: 1, unit: 'grapheme' }), cost: fc.nat(2 ** 30) }),
  { maxLength: 60 },
)

test('shares have all files once, in their order, and the largest share is claimed first', () => {
  fc.assert(
    fc.property(files, fc.integer({ min: 1, max: 8 }), (files, threads) => {
      const packed = packShares(files, threads)
      const shares = packed.starts.slice(1).map((_, share) => [...shareOf(packed, share)])
      expect(shares.flat()).toEqual(files.map(({ pathname }, place) => ({ pathname, place })))
      for (const share of shares) expect(share.length).toBeGreaterThan(0)
      const costs = packed.order.map((share) =>
        (shares[share] ?? []).reduce((sum, { place }) => sum + (files[place]?.cost ?? 0), 0),
      )
      expect(costs).toEqual(costs.toSorted((one, other) => other - one))
    }),
  )
})

test('a large file is alone in its share', () => {
  const small = Array.from({ length: 100 }, (_, number) => ({ pathname: `s${number}`, cost: 1000 }))
  const starts = cutShares([...small, { pathname: 'large', cost: 2 ** 30 }, ...small], 2)
  expect(starts).toContain(100)
  expect(starts).toContain(101)
})

test('small files are not a share each', () => {
  const many = Array.from({ length: 10_000 }, (_, number) => ({ pathname: `s${number}`, cost: 8192 }))
  expect(cutShares(many, 2).length).toBeLessThan(40)
  expect(cutShares(many, 64).length).toBeLessThan(520)
  expect(cutShares([], 2)).toEqual([0])
})
