import { expect, test } from 'vitest'
import type { WalRange } from '../../../src/manifest/model.js'
import { planRanges } from '../../../src/verify/wal/plan-parts.js'

function range(timeline: number, startLsn: bigint, endLsn: bigint): WalRange {
  return { timeline, startLsn, endLsn }
}

test('the ranges of a server, newest timeline first, are all read', () => {
  const ranges = [range(3, 30n, 40n), range(2, 20n, 30n), range(1, 10n, 20n)]
  expect(planRanges(ranges)).toEqual(ranges.map((range) => ({ range, overlapped: undefined })))
})

test('of twenty thousand equal ranges, one is read', () => {
  const ranges = Array.from({ length: 20_000 }, () => range(1, 10n, 20n))
  expect(planRanges(ranges)).toEqual([{ range: range(1, 10n, 20n), overlapped: undefined }])
})

test('of ranges that overlap, the first is read, and each other one is refused', () => {
  const first = range(1, 10n, 100n)
  const others = Array.from({ length: 50 }, (_, index) => range(1, 11n + BigInt(index), 90n + BigInt(index)))
  const planned = planRanges([...others, first])
  expect(planned.filter(({ overlapped }) => overlapped === undefined)).toEqual([
    { range: first, overlapped: undefined },
  ])
})

test('ranges that meet, are of other timelines or are empty do not overlap', () => {
  const ranges = [
    range(1, 10n, 20n),
    range(1, 20n, 30n),
    range(2, 15n, 25n),
    range(1, 12n, 12n),
    range(1, 19n, 5n),
  ]
  expect(planRanges(ranges).map(({ overlapped }) => overlapped)).toEqual(ranges.map(() => undefined))
})
