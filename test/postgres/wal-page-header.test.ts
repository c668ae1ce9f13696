import { describe, expect, test } from 'vitest'
import { parseWalPageHeader } from '../../src/postgres/wal-page-header.js'
import { badFileError } from './bad-file-error.js'

/** The first bytes of a segment that a PostgreSQL 18 with segments of 1 MiB wrote. */
const segmentStart = Buffer.from(
  '18d10200010000000000c00300000000000000000000000047eb5069ea60036b0000100000200000',
  'hex',
)

/** The header of a page in the middle of a record. */
const continuationPage = Buffer.from('10d10d000200000000e0ffff0100000034120000deadbeef', 'hex')

describe('parseWalPageHeader', () => {
  test('reads the long header of a real segment', () => {
    expect(parseWalPageHeader(segmentStart, 0)).toEqual({
      magic: 0xd118,
      isFirstContinuationRecord: false,
      hasLongHeader: true,
      info: 0x0002,
      timeline: 1,
      pageAddress: 0x3c00000n,
      remainingLength: 0,
      headerSize: 40,
      long: { systemIdentifier: 7711113546893945671n, segmentSize: 1048576, blockSize: 8192 },
    })
  })

  test('reads a short header', () => {
    expect(parseWalPageHeader(continuationPage, 0)).toEqual({
      magic: 0xd110,
      isFirstContinuationRecord: true,
      hasLongHeader: false,
      info: 0x000d,
      timeline: 2,
      pageAddress: 0x1_ffff_e000n,
      remainingLength: 0x1234,
      headerSize: 24,
    })
  })

  test('reads at an offset of a part of a buffer', () => {
    const bytes = Buffer.concat([Buffer.alloc(13), continuationPage, segmentStart]).subarray(13)
    expect(parseWalPageHeader(bytes, 24)).toEqual(parseWalPageHeader(segmentStart, 0))
  })

  test('reads the zeros after a segment switch as zeros', () => {
    expect(parseWalPageHeader(new Uint8Array(24), 0)).toMatchObject({
      magic: 0,
      timeline: 0,
      pageAddress: 0n,
    })
  })

  test.each([
    ['a short header', continuationPage.subarray(0, 23), 0, 'read 23 of 24'],
    ['a long header', segmentStart.subarray(0, 39), 0, 'read 39 of 40'],
    ['a header past the end', segmentStart, 48, 'read 0 of 24'],
  ])('refuses fewer bytes than %s has', (_, bytes, offset, read) => {
    expect(() => parseWalPageHeader(bytes, offset)).toThrow(
      badFileError(`could not read WAL page header: ${read}`),
    )
  })
})
