import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChangedBlocks, SummaryMerger } from '../../../src/postgres/wal-summary/changed-blocks.js'
import { NO_LIMIT, readWalSummary } from '../../../src/postgres/wal-summary/summary-file.js'
import { formatWalSummary, type SummarizedFork } from './format-wal-summary.js'

const address = { tablespaceOid: 1663, databaseOid: 5, relationNumber: 16384, fork: 0 }

function merge(...summaries: readonly (readonly SummarizedFork[])[]): ChangedBlocks {
  const merger = new SummaryMerger()
  for (const forks of summaries) {
    for (const changes of readWalSummary(formatWalSummary(forks), 'x')) merger.add(changes)
  }
  // As another thread has it.
  return new ChangedBlocks(merger.finish().memory)
}

test('nothing is known of what no summary tells of', () => {
  const changes = merge([{ relationNumber: 7, chunks: [[1]] }])
  expect(changes.limitBlockOf(address)).toBeUndefined()
  expect([...changes.blocksOf(address, 0, 10)]).toEqual([])
})

test('a smaller limit takes away what was marked beyond it before, and not what comes after', () => {
  const changes = merge(
    [{ limitBlock: 9, chunks: [[1, 5, 8, 65_535], [3]] }],
    [{ limitBlock: 6, chunks: [[7]] }],
    [{ limitBlock: 8 }],
  )
  expect(changes.limitBlockOf(address)).toBe(6)
  expect([...changes.blocksOf(address, 0, 200_000)]).toEqual([1, 5, 7])
})

test('a bitmap and a list are put together', () => {
  const bitmap = Buffer.alloc(8192)
  bitmap[8191] = 0x80
  const changes = merge([{ chunks: [[], bitmap] }], [{ chunks: [[2], [0]] }])
  expect([...changes.blocksOf(address, 0, 131_072)]).toEqual([2, 65_536, 131_071])
  expect([...changes.blocksOf(address, 3, 131_071)]).toEqual([65_536])
})

test('forks, databases and tablespaces are kept apart', () => {
  const changes = merge([
    { chunks: [[1]] },
    { fork: 2, chunks: [[2]] },
    { databaseOid: 6, chunks: [[3]] },
    { tablespaceOid: 16390, chunks: [[4]] },
  ])
  const found = [{}, { fork: 2 }, { databaseOid: 6 }, { tablespaceOid: 16390 }].map((other) => [
    ...changes.blocksOf({ ...address, ...other }, 0, 10),
  ])
  expect(found).toEqual([[1], [2], [3], [4]])
})

test('any summaries give what a simple set gives', () => {
  const anyBlock = fc.oneof(fc.nat(20), fc.nat(200_000))
  const anySummary = fc.record({
    limit: fc.option(anyBlock, { nil: NO_LIMIT }),
    blocks: fc.array(anyBlock, { maxLength: 20 }),
  })
  fc.assert(
    fc.property(fc.array(anySummary, { minLength: 1, maxLength: 5 }), (summaries) => {
      let limit = NO_LIMIT
      let expected = new Set<number>()
      const forks = summaries.map(({ limit: next, blocks }) => {
        if (next < limit) expected = new Set([...expected].filter((block) => block < next))
        limit = Math.min(limit, next)
        for (const block of blocks) expected.add(block)
        const chunks = [0, 1, 2, 3].map((chunk) =>
          blocks.filter((block) => block >> 16 === chunk).map((block) => block & 0xffff),
        )
        return [{ limitBlock: next, chunks }]
      })
      const changes = merge(...forks)
      expect(changes.limitBlockOf(address)).toBe(limit)
      expect([...changes.blocksOf(address, 0, 300_000)]).toEqual(
        [...expected].toSorted((left, right) => left - right),
      )
    }),
  )
})
