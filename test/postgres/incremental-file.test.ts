import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  findBlockListFault,
  formatIncrementalHeader,
  incrementalFileBytes,
  incrementalHeaderBytes,
  pagesOfIncrementalFile,
  parseIncrementalPreamble,
  readBlockNumbers,
} from '../../src/postgres/incremental-file.js'

const segmentPages = 131_072

function preamble(hex: string): ReturnType<typeof parseIncrementalPreamble> {
  return parseIncrementalPreamble(Buffer.from(hex, 'hex'), segmentPages)
}

describe('the beginning of an incremental file', () => {
  // Written by PostgreSQL 18.
  test.each([
    ['0d1faed30000000001000000', { blockCount: 0, truncationBlockLength: 1 }, 12],
    ['0d1faed3010000000500000004000000', { blockCount: 1, truncationBlockLength: 5 }, 16_384],
    ['0d1faed30000020000000200', { blockCount: 131_072, truncationBlockLength: 131_072 }, 1_074_274_304],
  ])('%s is read', (hex, expected, size) => {
    expect(preamble(hex)).toEqual(expected)
    expect(incrementalFileBytes(expected.blockCount)).toBe(size)
  })

  test.each([
    ['', 'has 0 bytes, too few for the header of an incremental file'],
    ['0d1faed300000000010000', 'has 11 bytes, too few for the header of an incremental file'],
    ['0d1faed20000000001000000', 'has bad incremental magic number (0xd2ae1f0d, expected 0xd3ae1f0d)'],
    ['0d1faed30100020001000000', 'has block count 131073 in excess of segment size 131072'],
    ['0d1faed30000000001000200', 'has truncation block length 131073 in excess of segment size 131072'],
    ['0d1faed3ffffffffffffffff', 'has block count 4294967295 in excess of segment size 131072'],
  ])('%j is refused', (hex, fault) => {
    expect(preamble(hex)).toEqual({ fault })
  })
})

test.each([
  [0, 12],
  [1, 8192],
  [2045, 8192],
  [2046, 16_384],
  [131_072, 532_480],
])('before the first of %d pages there are %d bytes', (blockCount, bytes) => {
  expect(incrementalHeaderBytes(blockCount)).toBe(bytes)
})

test('the size of a file says how many pages it has', () => {
  for (const pages of [0, 1, 2, 2045, 2046, 2047, 4093, 4094, 131_072]) {
    expect(pagesOfIncrementalFile(incrementalFileBytes(pages))).toBe(pages)
  }
})

describe('a header', () => {
  test('is written as PostgreSQL 18 writes it', () => {
    expect(formatIncrementalHeader(Uint32Array.of(), 1).toString('hex')).toBe('0d1faed30000000001000000')
    const header = formatIncrementalHeader(Uint32Array.of(4), 5)
    expect(header.subarray(0, 16).toString('hex')).toBe('0d1faed3010000000500000004000000')
    expect(header).toHaveLength(8192)
    expect(header.subarray(16).every((byte) => byte === 0)).toBe(true)
  })

  test('that was written is read again', () => {
    const numbers = fc.uniqueArray(fc.nat(segmentPages - 1))
    fc.assert(
      fc.property(numbers, fc.nat(segmentPages), (list, truncationBlockLength) => {
        const blocks = Uint32Array.from(list).toSorted()
        const header = formatIncrementalHeader(blocks, truncationBlockLength)
        expect(header).toHaveLength(incrementalHeaderBytes(blocks.length))
        expect(parseIncrementalPreamble(header, segmentPages)).toEqual({
          blockCount: blocks.length,
          truncationBlockLength,
        })
        expect(readBlockNumbers(header, blocks.length)).toEqual(blocks)
      }),
    )
  })
})

describe('a block list', () => {
  test('is read', () => {
    const header = Buffer.from('0d1faed302000000050000000400000007000000', 'hex')
    expect([...readBlockNumbers(header, 2)]).toEqual([4, 7])
  })

  test('of ascending numbers within the segment is right', () => {
    const numbers = fc.uniqueArray(fc.nat(segmentPages - 1))
    fc.assert(
      fc.property(numbers, (blocks) => {
        const sorted = Uint32Array.from(blocks).toSorted()
        expect(findBlockListFault(sorted, segmentPages)).toBeUndefined()
      }),
    )
  })

  test.each([
    [[4, 4], 'has block number 4 after 4 in its block list (entry 2)'],
    [[0, 5, 3, 9], 'has block number 3 after 5 in its block list (entry 3)'],
    [[0, 131_072], 'has block number 131072 in its block list, beyond segment size 131072'],
  ])('of %j is not', (blocks, fault) => {
    expect(findBlockListFault(Uint32Array.from(blocks), segmentPages)).toBe(fault)
  })
})
