import { describe, expect, test } from 'vitest'
import { chooseSummaries, findPriorStart } from '../../../src/postgres/wal-summary/required-summaries.js'

const history = [
  { timeline: 3, begin: 0x500n, end: undefined },
  { timeline: 2, begin: 0x300n, end: 0x500n },
  { timeline: 1, begin: 0n, end: 0x300n },
]
const options = { history, start: { lsn: 0x700n, timeline: 3 }, lsnDigits: 1 } as const

function range(
  timeline: number,
  startLsn: bigint,
  endLsn: bigint,
): Parameters<typeof findPriorStart>[0][number] {
  return { timeline, startLsn, endLsn }
}

describe('a prior backup', () => {
  test.each([
    ['on this timeline', [range(3, 0x600n, 0x700n)], 0x600n, 3],
    ['on an earlier one', [range(1, 0x100n, 0x200n)], 0x100n, 1],
    ['across a promotion', [range(2, 0x300n, 0x400n), range(1, 0x200n, 0x300n)], 0x200n, 1],
    [
      'across a promotion, in the other order',
      [range(1, 0x200n, 0x300n), range(2, 0x300n, 0x400n)],
      0x200n,
      1,
    ],
  ])('%s is built on from its start', (_, ranges, lsn, timeline) => {
    expect(findPriorStart(ranges, options)).toEqual({ lsn, timeline })
  })

  // In the words of the server. @see src/backend/backup/basebackup_incremental.c
  test.each([
    [[], 'manifest contains no required WAL ranges'],
    [[range(4, 1n, 2n)], "timeline 4 found in manifest, but not in this server's history"],
    [
      [range(2, 0x200n, 0x400n)],
      'manifest requires WAL from initial timeline 2 starting at 0/200, but that timeline begins at 0/300',
    ],
    [
      [range(2, 0x310n, 0x400n), range(1, 0x200n, 0x300n)],
      'manifest requires WAL from continuation timeline 2 starting at 0/310, but that timeline begins at 0/300',
    ],
    [
      [range(3, 0x600n, 0x701n)],
      'manifest requires WAL from final timeline 3 ending at 0/701, but this backup starts at 0/700',
    ],
    [
      [range(2, 0x300n, 0x400n), range(1, 0x200n, 0x2ffn)],
      'manifest requires WAL from non-final timeline 1 ending at 0/2FF, but this server switched timelines at 0/300',
    ],
  ])('is refused where it does not fit (%#)', (ranges, fault) => {
    expect(findPriorStart(ranges, options)).toMatchObject({ fault })
  })

  test('is refused with LSNs as the server prints them', () => {
    expect(findPriorStart([range(3, 0x600n, 0x701n)], { ...options, lsnDigits: 8 })).toMatchObject({
      fault: expect.stringContaining('ending at 0/00000701'),
    })
  })
})

describe('summaries', () => {
  const prior = { lsn: 0x180n, timeline: 1 }
  const enough = [
    range(3, 0x500n, 0x740n),
    range(1, 0x200n, 0x300n),
    range(2, 0x300n, 0x500n),
    range(1, 0x100n, 0x200n),
  ]

  test('are those of all timelines between, oldest first', () => {
    const others = [
      range(1, 0n, 0x100n),
      range(1, 0x300n, 0x400n),
      range(3, 0x740n, 0x800n),
      range(9, 0x500n, 0x740n),
    ]
    expect(chooseSummaries([...others, ...enough], prior, options)).toEqual([
      range(1, 0x100n, 0x200n),
      range(1, 0x200n, 0x300n),
      range(2, 0x300n, 0x500n),
      range(3, 0x500n, 0x740n),
    ])
  })

  test('that begin or end elsewhere, or twice, are enough', () => {
    const overlapping = [range(3, 0x500n, 0x600n), range(3, 0x5f0n, 0x700n)]
    expect(chooseSummaries(overlapping, { lsn: 0x550n, timeline: 3 }, options)).toEqual(overlapping)
  })

  test.each([
    [
      enough.filter(({ timeline }) => timeline !== 2),
      'WAL summaries are required on timeline 2 from 0/300 to 0/500, but no summaries for that timeline and LSN range exist',
      undefined,
    ],
    [
      enough.filter(({ startLsn }) => startLsn !== 0x200n),
      'WAL summaries are required on timeline 1 from 0/180 to 0/300, but the summaries for that timeline and LSN range are incomplete',
      'The first unsummarized LSN in this range is 0/200.',
    ],
    [
      [range(3, 0x500n, 0x6ffn)],
      'WAL summaries are required on timeline 3 from 0/500 to 0/700, but the summaries for that timeline and LSN range are incomplete',
      'The first unsummarized LSN in this range is 0/6FF.',
    ],
    [
      [range(3, 0x501n, 0x740n)],
      'WAL summaries are required on timeline 3 from 0/500 to 0/700, but the summaries for that timeline and LSN range are incomplete',
      'The first unsummarized LSN in this range is 0/500.',
    ],
  ])('with a gap are refused (%#)', (available, fault, detail) => {
    expect(chooseSummaries(available, prior, options)).toMatchObject({ fault, ...(detail && { detail }) })
  })
})
