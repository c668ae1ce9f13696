import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findRecordBodyFault } from '../../../src/postgres/wal/record-body.js'
import { findVersion } from '../../../src/postgres/versions.js'

/** What is said of a body, given in hexadecimal; `data` counts the bytes of data behind it. */
function faultOf(hex: string, data = 0, major = 18): string | undefined {
  const format = findVersion(major)?.walFormats[0]
  if (format === undefined) throw new Error(`no format of ${major}`)
  const record = Buffer.concat([
    Buffer.alloc(24),
    Buffer.from(hex.replaceAll(' ', ''), 'hex'),
    Buffer.alloc(data),
  ])
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  return findRecordBodyFault(view, 0, record.length, record.length, format)
}

/** Twelve bytes of a relation, four of a block. */
const relation = '7f060000 05000000 00400000'
const block = '01000000'

describe('a body is good', () => {
  test.each([
    ['nothing', '', 0],
    ['short data', 'ff 03', 3],
    ['long data', 'fe 00010000', 256],
    ['an origin and data', 'fd 0100 ff 01', 1],
    ['a top-level transaction', 'fc 01000000 ff 01', 1],
    ['a block without data', `00 00 0000 ${relation} ${block} ff 01`, 1],
    ['a block with data', `00 20 0400 ${relation} ${block} ff 01`, 5],
    ['two blocks of one relation', `00 00 0000 ${relation} ${block} 01 80 0000 ${block} ff 01`, 1],
    ['a whole image', `00 10 0000 0020 0000 02 ${relation} ${block}`, 8192],
    ['an image with a hole', `00 10 0000 0010 1800 03 ${relation} ${block}`, 4096],
    ['a compressed image', `00 10 0000 0004 0000 06 ${relation} ${block}`, 1024],
    ['a compressed image with a hole', `00 10 0000 0004 1800 07 0010 ${relation} ${block}`, 1024],
    ['a block at the very end', `00 00 0000 ${relation} ${block} 01 80 0000 ${block}`, 0],
  ])('with %s', (_, hex, data) => {
    expect(faultOf(hex, data)).toBeUndefined()
  })
})

describe('a body is refused', () => {
  test.each([
    ['data that is cut', 'ff 03', 2, 'record with invalid length'],
    ['bytes behind its data', 'ff 03', 4, 'record with invalid length'],
    ['the head of long data cut', 'fe 0001', 0, 'record with invalid length'],
    ['a block cut', '00 00', 0, 'record with invalid length'],
    ['the header of an image cut', '00 10 0000 0020', 0, 'record with invalid length'],
    ['an unknown fragment', '21', 0, 'invalid block_id 33'],
    [
      'blocks out of order',
      `01 00 0000 ${relation} ${block} 01 80 0000 ${block} ff 01`,
      1,
      'out-of-order block_id 1',
    ],
    [
      'a block of the same relation as none',
      `00 80 0000 ${block} ff 01`,
      1,
      'BKPBLOCK_SAME_REL set but no previous rel',
    ],
    [
      'data that is said to be, but is not',
      `00 20 0000 ${relation} ${block}`,
      0,
      'BKPBLOCK_HAS_DATA set, but no data included',
    ],
    [
      'data that is not said to be',
      `00 00 0400 ${relation} ${block}`,
      4,
      'BKPBLOCK_HAS_DATA not set, but data length is 4',
    ],
    [
      'a hole of no place',
      `00 10 0000 0010 0000 03 ${relation} ${block}`,
      4096,
      'BKPIMAGE_HAS_HOLE set, but hole offset 0 length 4096 block image length 4096',
    ],
    [
      'a hole in a whole image',
      `00 10 0000 0020 1800 03 ${relation} ${block}`,
      8192,
      'BKPIMAGE_HAS_HOLE set, but hole offset 24 length 0 block image length 8192',
    ],
    [
      'an image that is too short',
      `00 10 0000 0010 0000 02 ${relation} ${block}`,
      4096,
      'BKPIMAGE_HAS_HOLE not set, but hole offset 0 length 4096',
    ],
    [
      'a compressed image that is not shorter',
      `00 10 0000 0020 0000 06 ${relation} ${block}`,
      8192,
      'BKPIMAGE_COMPRESSED set, but block image length 8192',
    ],
  ])('with %s', (_, hex, data, reason) => {
    expect(faultOf(hex, data)).toBe(reason)
  })
})

test.each([
  { major: 13, hex: 'fc 01000000 ff 01', data: 1, reason: 'invalid block_id 252' },
  { major: 14, hex: 'fc 01000000 ff 01', data: 1, reason: undefined },
  // Bit 2 says "compressed" up to 14, and "apply" since.
  { major: 14, hex: `00 10 0000 0004 0000 02 ${relation} ${block}`, data: 1024, reason: undefined },
  {
    major: 15,
    hex: `00 10 0000 0004 0000 02 ${relation} ${block}`,
    data: 1024,
    reason: 'BKPIMAGE_HAS_HOLE not set, but hole offset 0 length 7168',
  },
])('$hex in $major', ({ major, hex, data, reason }) => {
  expect(faultOf(hex, data, major)).toBe(reason)
})

test('no bytes make it throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(0, 16, 48, 128, 176, 255),
      fc.constantFrom(13, 14, 15, 18),
      (bytes, flags, major) => {
        if (bytes.length > 1) bytes[1] = flags
        if (bytes.length > 0) bytes[0] = (bytes[0] ?? 0) % 40
        expect([undefined, 'string']).toContain(
          typeof faultOf(Buffer.from(bytes).toString('hex'), 0, major) === 'string' ? 'string' : undefined,
        )
      },
    ),
    { numRuns: 1000 },
  )
})
