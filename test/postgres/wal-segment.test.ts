import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  isWalSegmentSize,
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  walSegmentName,
} from '../../src/postgres/wal-segment.js'
import { walSegmentsOfRange } from '../helpers/wal-segments-of-range.js'

const mebibyte = 1024 * 1024
const anySegmentSize = fc.integer({ min: 0, max: 10 }).map((power) => mebibyte * 2 ** power)
const anyTimeline = fc.integer({ min: 1, max: 0xffff_ffff })

const names = (startLsn: bigint, endLsn: bigint): string[] =>
  Array.from(walSegmentsOfRange({ timeline: 1, startLsn, endLsn }, mebibyte), ({ name }) => name)

describe('isWalSegmentSize', () => {
  test.each([mebibyte, 16 * mebibyte, 1024 * mebibyte])('accepts %d', (bytes) => {
    expect(isWalSegmentSize(bytes)).toBe(true)
  })

  test.each([0, 1, -mebibyte, mebibyte / 2, 3 * mebibyte, 2048 * mebibyte, 4096 * mebibyte, 1.5, Number.NaN])(
    'refuses %d',
    (bytes) => {
      expect(isWalSegmentSize(bytes)).toBe(false)
    },
  )
})

describe('walSegmentName', () => {
  test.each([
    [1, 14n, 1, '00000001000000000000000E'],
    [1, 0xfffn, 1, '000000010000000000000FFF'],
    [1, 0x1000n, 1, '000000010000000100000000'],
    [0xab, 0x100n, 16, '000000AB0000000100000000'],
    [2, 7n, 1024, '000000020000000100000003'],
  ])('of timeline %d, segment %d, %d MiB', (timeline, segmentNumber, mebibytes, name) => {
    expect(walSegmentName(timeline, segmentNumber, mebibytes * mebibyte)).toBe(name)
  })
})

describe('parseWalSegmentName', () => {
  test('reads what walSegmentName writes', () => {
    fc.assert(
      fc.property(
        anyTimeline,
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        anySegmentSize,
        (timeline, lsn, size) => {
          const segmentNumber = segmentHoldingStart(lsn, size)
          const name = walSegmentName(timeline, segmentNumber, size)
          expect(name).toMatch(/^[0-9A-F]{24}$/)
          expect(parseWalSegmentName(name, size)).toEqual({ timeline, segmentNumber })
        },
      ),
    )
  })

  test.each([
    ['', 'nothing'],
    ['00000001000000000000000', '23 digits'],
    ['0000000100000000000000000', '25 digits'],
    ['00000001000000000000000e', 'lower case'],
    ['00000001000000000000000G', 'no hexadecimal digit'],
    ['00000001000000000000000E.partial', 'a suffix'],
    ['00000001000000000000000E\n', 'a line feed'],
    ['000000000000000000000001', 'timeline 0'],
    ['000000010000000000000100', 'more segments in 4 GiB than there are'],
  ])('refuses %j: %s', (name) => {
    expect(parseWalSegmentName(name, 16 * mebibyte)).toBeUndefined()
  })

  test('depends on the segment size', () => {
    expect(parseWalSegmentName('000000010000000000000100', mebibyte)?.segmentNumber).toBe(0x100n)
  })
})

describe('a position on a boundary', () => {
  const size = 16 * mebibyte

  test.each([
    ['0', 0n, 0n, 0n],
    ['the first byte', 1n, 0n, 0n],
    ['a boundary', BigInt(size) * 3n, 3n, 2n],
    ['just after one', BigInt(size) * 3n + 1n, 3n, 3n],
    ['just before one', BigInt(size) * 3n - 1n, 2n, 2n],
  ])('%s belongs to the following segment as a start, to the previous as an end', (_, lsn, start, end) => {
    expect(segmentHoldingStart(lsn, size)).toBe(start)
    expect(segmentHoldingEnd(lsn, size)).toBe(end)
  })
})

describe('walSegmentsOfRange', () => {
  test('lists the segment of a backup that fits into one', () => {
    expect(names(0xe00028n, 0xe00100n)).toEqual(['00000001000000000000000E'])
  })

  test('leaves out the segment that begins where the range ends', () => {
    expect(names(0xe00028n, 0xf00000n)).toEqual(['00000001000000000000000E'])
  })

  test('goes on in the next log id', () => {
    expect(names(0xfff00028n, 0x1_0000_0028n)).toEqual([
      '000000010000000000000FFF',
      '000000010000000100000000',
    ])
  })

  test.each([
    ['an empty range', 0xe00028n, 0xe00028n],
    ['a reversed range', 0xe00028n, 0x100028n],
  ])('lists nothing for %s', (_, startLsn, endLsn) => {
    expect(names(startLsn, endLsn)).toEqual([])
  })

  test('covers every byte of the range and no segment more', () => {
    const anyStart = fc.bigInt({ min: 0n, max: 2n ** 63n })
    const anyLength = fc.bigInt({ min: 1n, max: 2n ** 24n })
    fc.assert(
      fc.property(anyTimeline, anyStart, anyLength, anySegmentSize, (timeline, startLsn, length, size) => {
        const endLsn = startLsn + length
        const segments = [...walSegmentsOfRange({ timeline, startLsn, endLsn }, size)]
        const numbers = segments.map(({ name }) => parseWalSegmentName(name, size)?.segmentNumber)
        const first = startLsn / BigInt(size)
        expect(numbers).toEqual(segments.map((_, index) => first + BigInt(index)))
        const end = (first + BigInt(segments.length)) * BigInt(size)
        expect(end >= endLsn && end - BigInt(size) < endLsn).toBe(true)
      }),
    )
  })
})
