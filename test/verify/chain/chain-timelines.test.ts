import { expect, test } from 'vitest'
import type { WalRange } from '../../../src/manifest/model.js'
import type { TimelineHistoryEntry } from '../../../src/postgres/timeline-history.js'
import { findTimelineFault } from '../../../src/verify/chain/chain-consistency.js'

/** Timeline 1 was left at 0/500 for 2, that at 0/900 for 4. */
const history: readonly TimelineHistoryEntry[] = [
  { timeline: 4, begin: 0x900n, end: undefined },
  { timeline: 2, begin: 0x500n, end: 0x900n },
  { timeline: 1, begin: 0n, end: 0x500n },
]

function range(timeline: number, startLsn: bigint, endLsn: bigint): WalRange {
  return { timeline, startLsn, endLsn }
}

test.each([
  { what: 'on the newest timeline', ranges: [range(4, 0xa00n, 0xb00n)], start: 0xb00n },
  { what: 'on an older timeline', ranges: [range(1, 0x100n, 0x200n)], start: 0xb00n },
  { what: 'up to where its timeline was left', ranges: [range(1, 0x100n, 0x500n)], start: 0x500n },
  { what: 'over two timelines', ranges: [range(2, 0x500n, 0x600n), range(1, 0x100n, 0x500n)], start: 0x600n },
  { what: 'none', ranges: [], start: 0xb00n },
])('WAL $what leads to the next backup', ({ ranges, start }) => {
  expect(findTimelineFault(ranges, start, history)).toBeUndefined()
})

test.each([
  {
    ranges: [range(3, 0x100n, 0x200n)],
    start: 0xb00n,
    fault: "its timeline 3 is not in the history of the next backup's timeline",
  },
  {
    ranges: [range(2, 0x400n, 0x600n)],
    start: 0xb00n,
    fault: 'its WAL on timeline 2 starts at 0/400, but that timeline at 0/500',
  },
  {
    ranges: [range(2, 0x501n, 0x600n), range(1, 0x100n, 0x500n)],
    start: 0xb00n,
    fault: 'its WAL on timeline 2 starts at 0/501, but that timeline at 0/500',
  },
  {
    ranges: [range(2, 0x500n, 0x600n), range(1, 0x100n, 0x4ffn)],
    start: 0xb00n,
    fault: 'its WAL on timeline 1 ends at 0/4FF, which is not where that timeline was left',
  },
  {
    ranges: [range(4, 0xa00n, 0xb01n)],
    start: 0xb00n,
    fault: 'its WAL ends at 0/B01, after the start of the next backup at 0/B00',
  },
  {
    ranges: [range(1, 0x100n, 0x501n)],
    start: 0xb00n,
    fault: 'its WAL ends at 0/501, but timeline 1 was left at 0/500',
  },
])('$fault', ({ ranges, start, fault }) => {
  expect(findTimelineFault(ranges, start, history)).toBe(fault)
})
