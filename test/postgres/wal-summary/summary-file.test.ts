import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPbManifestError } from '../../../src/errors.js'
import {
  parseWalSummaryName,
  readWalSummary,
  walSummaryName,
} from '../../../src/postgres/wal-summary/summary-file.js'
import { SummaryMerger } from '../../../src/postgres/wal-summary/changed-blocks.js'
import { formatWalSummary, withChecksum } from './format-wal-summary.js'

const bitmap = Buffer.alloc(8192, 0x55)
const whole = formatWalSummary([
  { limitBlock: 7, chunks: [[3, 1]] },
  { relationNumber: 16385, fork: 2, chunks: [[], bitmap] },
  { databaseOid: 9, relationNumber: 0, limitBlock: 0 },
])

function read(bytes: Buffer): readonly unknown[] {
  return [...readWalSummary(bytes, 'x.summary')]
}

test.each([
  ['0000000100000000010000280000000001000100.summary', 1, 0x1000028n, 0x1000100n],
  ['FFFFFFFF00000012A0000028000000130B000000.summary', 0xffff_ffff, 0x12a0000028n, 0x130b000000n],
])('the name %s says of which WAL it is', (name, timeline, startLsn, endLsn) => {
  expect(parseWalSummaryName(name)).toEqual({ timeline, startLsn, endLsn })
  expect(walSummaryName({ timeline, startLsn, endLsn })).toBe(name)
})

test.each(['', 'temp.summary', '0000000100000000010000280000000001000100.summary.tmp', '0'.repeat(40)])(
  '%j is no name of a summary',
  (name) => {
    expect(parseWalSummaryName(name)).toBeUndefined()
  },
)

describe('a summary', () => {
  test('is read', () => {
    const address = { tablespaceOid: 1663, databaseOid: 5, relationNumber: 16384, fork: 0 }
    expect(read(whole)).toEqual([
      { ...address, limitBlock: 7, chunks: [Buffer.from('03000100', 'hex')] },
      {
        ...address,
        relationNumber: 16385,
        fork: 2,
        limitBlock: 0xffff_ffff,
        chunks: [Buffer.alloc(0), bitmap],
      },
      { ...address, databaseOid: 9, relationNumber: 0, limitBlock: 0, chunks: [] },
    ])
  })

  test('of nothing is read', () => {
    expect(read(formatWalSummary([]))).toEqual([])
  })

  const badMagic = Buffer.from(whole)
  badMagic[0] = 0
  const badCrc = Buffer.from(whole)
  badCrc[100] = 1
  test.each([
    ['an empty file', Buffer.alloc(0), '"x.summary": has 0 bytes, too few for a WAL summary'],
    ['another magic number', badMagic, 'wrong magic number: expected 1697321851, found 1697321728'],
    ['a wrong checksum', badCrc, /has wrong checksum: expected [0-9A-F]{8}, found [0-9A-F]{8}$/],
    ['no end', withChecksum(whole.subarray(0, -28)), 'ends unexpectedly'],
    [
      'more after its end',
      withChecksum(Buffer.concat([whole.subarray(0, -4), Buffer.alloc(24)])),
      'goes on after its end',
    ],
    ['a fork that there is none', formatWalSummary([{ fork: 4 }]), 'has invalid fork number 4'],
    [
      'too large a chunk',
      formatWalSummary([{ chunks: [Buffer.alloc(8194)] }]),
      'chunk 0 has invalid size 4097',
    ],
  ])('with %s is refused', (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(message)
  })

  test('that is cut anywhere is refused', () => {
    const short = formatWalSummary([{ chunks: [[3, 1], [], [5]] }])
    for (let end = 0; end < short.length; end++) expect(() => read(short.subarray(0, end))).toThrow(/./)
    // Also where the checksum fits.
    for (let end = 0; end < short.length - 4; end++) {
      expect(() => read(withChecksum(short.subarray(0, end)))).toThrow(/few|ends unexpectedly|magic/)
    }
  })

  test('that was changed anywhere is refused or read, and neither crashes nor never ends', () => {
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 5), fc.nat(255)), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(changes, fc.boolean(), (list, isChecksumRight) => {
        const bytes = Buffer.from(whole)
        for (const [at, value] of list) bytes[at] = value
        const mutated = isChecksumRight ? withChecksum(bytes.subarray(0, -4)) : bytes
        expect(['BAD_FILE', undefined]).toContain(codeOf(() => mergeAll(mutated)))
      }),
      { numRuns: 10_000 },
    )
  })
})

function mergeAll(bytes: Buffer): void {
  const merger = new SummaryMerger()
  for (const changes of readWalSummary(bytes, 'x.summary')) merger.add(changes)
  merger.finish()
}

/** The code of what this throws; `undefined` when it does not. */
function codeOf(act: () => void): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (isPbManifestError(error)) return error.code
    throw error
  }
}
