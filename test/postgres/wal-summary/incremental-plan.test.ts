import { describe, expect, test } from 'vitest'
import { SummaryMerger } from '../../../src/postgres/wal-summary/changed-blocks.js'
import { IncrementalPlan, PriorFiles } from '../../../src/postgres/wal-summary/incremental-plan.js'
import { readWalSummary } from '../../../src/postgres/wal-summary/summary-file.js'
import { formatWalSummary, type SummarizedFork } from './format-wal-summary.js'

const MIB = 1024 * 1024

function planOf(prior: readonly string[], ...forks: readonly SummarizedFork[]): IncrementalPlan {
  const files = new PriorFiles()
  for (const pathname of prior) files.add(pathname)
  const merger = new SummaryMerger()
  for (const changes of readWalSummary(formatWalSummary(forks), 'x')) merger.add(changes)
  return new IncrementalPlan({ changes: merger.finish().memory, priorFiles: files.finish() })
}

/** Blocks and truncation block length, or that the file is taken whole. */
function shown(planned: ReturnType<IncrementalPlan['plan']>): unknown {
  return planned === undefined ? 'whole' : [[...planned.blocks], planned.truncationBlockLength]
}

const file = 'base/5/16384'

// @see src/backend/backup/basebackup_incremental.c (`GetFileBackupMethod`)
describe('a file of a relation', () => {
  test.each([
    ['unchanged', file, 81_920, [], [[], 10]],
    ['unchanged, and known by its changes', file, 81_920, [], [[], 10], ['base/5/INCREMENTAL.16384']],
    ['unchanged and empty', file, 0, [], 'whole'],
    [
      'not in the prior backup',
      file,
      81_920,
      [],
      'whole',
      ['base/5/16385', 'base/6/16384', 'base/5/16384.1'],
    ],
    ['with half a page', file, 81_921, [], 'whole'],
    ['of more than 1 GiB', file, 1024 * MIB + 8192, [], 'whole'],
    ['changed', file, 81_920, [{ chunks: [[7, 2]] }], [[2, 7], 10]],
    ['changed beyond its end', file, 81_920, [{ chunks: [[9, 10, 11]] }], [[9], 10]],
    [
      'changed by nine tenths',
      file,
      81_920,
      [{ chunks: [[0, 1, 2, 3, 4, 5, 6, 7, 8]] }],
      [[0, 1, 2, 3, 4, 5, 6, 7, 8], 10],
    ],
    ['changed altogether', file, 81_920, [{ chunks: [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] }], 'whole'],
    ['made since', file, 81_920, [{ limitBlock: 0, chunks: [[1]] }], 'whole'],
    ['cut, and grown since', file, 81_920, [{ limitBlock: 4, chunks: [[5]] }], [[5], 10]],
    ['cut after it was looked at', file, 16_384, [{ limitBlock: 4, chunks: [[1]] }], [[1], 4]],
    ['cut to nothing after it was changed', file, 0, [{ chunks: [[1]] }], [[], 0]],
    ['of a database that was made since', file, 81_920, [{ relationNumber: 0, limitBlock: 0 }], 'whole'],
    [
      'of another database than one that was made since',
      file,
      81_920,
      [{ databaseOid: 6, relationNumber: 0, limitBlock: 0 }],
      [[], 10],
    ],
    ['that maps free space', 'base/5/16384_fsm', 81_920, [], 'whole', ['base/5/16384_fsm']],
    [
      'that maps visibility',
      'base/5/16384_vm',
      16_384,
      [{ fork: 2, chunks: [[1]] }],
      [[1], 2],
      ['base/5/16384_vm'],
    ],
    [
      'in global',
      'global/1262',
      16_384,
      [{ tablespaceOid: 1664, databaseOid: 0, relationNumber: 1262, chunks: [[0]] }],
      [[0], 2],
      ['global/1262'],
    ],
    [
      'of a tablespace',
      'pg_tblspc/16390/PG_18_202506291/5/16384',
      16_384,
      [{ tablespaceOid: 16390, chunks: [[1]] }],
      [[1], 2],
      ['pg_tblspc/16390/PG_18_202506291/5/16384'],
    ],
    ['that is none', 'base/5/PG_VERSION', 8192, [], 'whole', ['base/5/PG_VERSION']],
  ] as const)('%s', (_, pathname, size, forks, expected, prior: readonly string[] = [file]) => {
    expect(shown(planOf(prior, ...forks).plan(pathname, size))).toEqual(expected)
  })

  test('beyond 1 GiB has blocks that are counted from its own beginning', () => {
    const second = 'base/5/16384.1'
    const changed = { chunks: [[5], [], [3], [4]] }
    expect(shown(planOf([second], changed).plan(second, 1024 * MIB))).toEqual([[3, 65_540], 131_072])
    expect(shown(planOf([second], { ...changed, limitBlock: 131_072 }).plan(second, 81_920))).toBe('whole')
    expect(shown(planOf([second], { ...changed, limitBlock: 131_074 }).plan(second, 8192))).toEqual([[], 2])
    expect(shown(planOf([second], { limitBlock: 400_000 }).plan(second, 8192))).toEqual([[], 131_072])
  })
})

test('changes that are asked for are planned where they are enough, whatever they spare', () => {
  const all = { chunks: [[0, 1]] }
  expect(shown(planOf([file], all).planChanges(file, 16_384))).toEqual([[0, 1], 2])
  expect(shown(planOf([file]).planChanges(file, 0))).toEqual([[], 0])
  expect(planOf([file], { limitBlock: 0 }).planChanges(file, 16_384)).toBeUndefined()
  expect(planOf([]).planChanges(file, 16_384)).toBeUndefined()
})
