import { describe, expect, test } from 'vitest'
import {
  parseTimelineHistory,
  timelineHistoryFileName,
  timelineWithoutHistory,
} from '../../src/postgres/timeline-history.js'
import { badFileError } from './bad-file-error.js'

describe('parseTimelineHistory', () => {
  test('lists the newest timeline first', () => {
    const text = '1\t0/B0007F8\tno recovery target specified\n\n2\t1/C000000\tbefore 2026-11-22 21:36:05+00\n'
    expect(parseTimelineHistory(text, 3, '00000003.history')).toEqual([
      { timeline: 3, begin: 0x1_0c00_0000n, end: undefined },
      { timeline: 2, begin: 0xb0007f8n, end: 0x1_0c00_0000n },
      { timeline: 1, begin: 0n, end: 0xb0007f8n },
    ])
  })

  test.each([
    ['comments', '# one\n1\t0/3000000\tx\n  # two\n'],
    ['blank lines', '\n \t\n1\t0/3000000\tx\n\n'],
    ['no reason', '1\t0/3000000\n'],
    ['no final line feed', '1\t0/3000000\tx'],
    ['blanks in place of tabs', '  1   0/3000000 x\n'],
    ['CRLF', '1\t0/3000000\tx\r\n\r\n'],
  ])('takes a file with %s', (_, text) => {
    expect(parseTimelineHistory(text, 5, 'h')).toEqual([
      { timeline: 5, begin: 0x3000000n, end: undefined },
      { timeline: 1, begin: 0n, end: 0x3000000n },
    ])
  })

  test('takes a switch point before the previous one, as the server does', () => {
    expect(parseTimelineHistory('1\t0/5000000\tx\n2\t0/3000000\tx\n', 3, 'h')).toHaveLength(3)
  })

  test('finds no ancestors in an empty file', () => {
    expect(parseTimelineHistory('', 2, 'h')).toEqual(timelineWithoutHistory(2))
  })

  test.each([
    ['x\t0/1\tr\n', String.raw`syntax error in history file: "x\t0/1\tr", expected a numeric timeline ID`],
    ['0\t0/1\tr\n', String.raw`syntax error in history file: "0\t0/1\tr", expected a numeric timeline ID`],
    ['1\n', 'syntax error in history file: "1", expected a write-ahead log switchpoint location'],
    [
      '1\t0/1zz\n',
      String.raw`syntax error in history file: "1\t0/1zz", expected a write-ahead log switchpoint location`,
    ],
    ['1 0/1\n1 0/2\n', 'invalid data in history file: "1 0/2", timeline IDs must be in increasing sequence'],
    ['2 0/1\n1 0/2\n', 'invalid data in history file: "1 0/2", timeline IDs must be in increasing sequence'],
    ['4 0/1\n', "invalid data in history file: timeline IDs must be less than child timeline's ID"],
    ['5 0/1\n', "invalid data in history file: timeline IDs must be less than child timeline's ID"],
  ])('refuses %j', (text, what) => {
    expect(() => parseTimelineHistory(text, 4, '00000004.history')).toThrow(
      badFileError(`"00000004.history": ${what}`),
    )
  })
})

test('a timeline without a file has no ancestors', () => {
  expect(timelineWithoutHistory(1)).toEqual([{ timeline: 1, begin: 0n, end: undefined }])
})

test.each([
  [2, '00000002.history'],
  [0xabcd, '0000ABCD.history'],
])('the history of timeline %d is named %s', (timeline, name) => {
  expect(timelineHistoryFileName(timeline)).toBe(name)
})
