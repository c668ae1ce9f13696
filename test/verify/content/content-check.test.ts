import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pageChecksum } from '../../../src/postgres/data-page/page-checksum.js'
import { PAGE_SIZE, pageOffsets } from '../../../src/postgres/data-page/page-layout.js'
import { ContentCheck, hasContent } from '../../../src/verify/content/content-check.js'
import type { ContentRules } from '../../../src/verify/content/decide-content-rules.js'
import { ReplayedWal } from '../../../src/verify/content/replayed-wal.js'

const rules: ContentRules = { hasPageChecksums: true, hasIncrementalFiles: true, segmentPages: 131_072 }
const replayed = { timeline: 1, startLsn: 0x2000028n, endLsn: 0x2000100n }

function replayedWal(): ReplayedWal {
  const wal = new ReplayedWal()
  wal.tell([replayed])
  return wal
}

function pageOf(block: number, lsn = 0x1000028): Buffer {
  const page = Buffer.alloc(PAGE_SIZE, block)
  page.writeUInt32LE(0, 0)
  page.writeUInt32LE(lsn, 4)
  page.writeUInt16LE(PAGE_SIZE, pageOffsets.upper)
  page.writeUInt16LE(pageChecksum(page, 0, block), pageOffsets.checksum)
  return page
}

function spoilt(page: Buffer): Buffer {
  page.writeUInt8(page.readUInt8(5000) ^ 1, 5000)
  return page
}

function incrementalFile(blocks: readonly number[], pages: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(Math.ceil((12 + blocks.length * 4) / PAGE_SIZE) * PAGE_SIZE)
  for (const [index, value] of [0xd3ae1f0d, blocks.length, 9, ...blocks].entries()) {
    header.writeUInt32LE(value, index * 4)
  }
  return Buffer.concat([header, ...pages])
}

/** Shows a file as if `read` had given it in such pieces, over and over. */
function check(
  pathname: string,
  file: Buffer,
  pieces: readonly number[] = [Infinity],
  bufferPages = 2,
): ReturnType<ContentCheck['end']> | undefined {
  const check = new ContentCheck(rules, replayedWal(), bufferPages * PAGE_SIZE)
  if (!check.begin(pathname, file.length)) return undefined
  let kept = 0
  for (let at = 0, turn = 0; at < file.length; turn++) {
    const wanted = pieces[turn % pieces.length] ?? Infinity
    const length = Math.min(wanted, check.buffer.length - kept, file.length - at)
    file.copy(check.buffer, kept, at, at + length)
    kept = check.take(kept + length)
    at += length
  }
  return check.end()
}

const pieces = fc.array(fc.integer({ min: 1, max: 3 * PAGE_SIZE }), { minLength: 1, maxLength: 5 })

describe('a relation', () => {
  const file = Buffer.concat([
    pageOf(131_072),
    spoilt(pageOf(131_073)),
    Buffer.alloc(PAGE_SIZE),
    spoilt(pageOf(131_075, 0x2000028)),
    pageOf(131_076, 0x2000100),
    spoilt(pageOf(131_077, 0x2000101)),
    Buffer.alloc(77),
  ])

  test('is judged the same however it is read', () => {
    const whole = check('base/5/16384.1', file, [Infinity], 10)
    expect(whole).toMatchObject({
      pages: 6,
      findings: {
        badPages: [
          { block: 1, isNewer: false },
          { block: 3, lsn: 0x2000028n, isNewer: true },
          { block: 5, isNewer: false },
        ],
        furtherNewer: 0,
        furtherOlder: 0,
        partialPage: { block: 6, bytes: 77 },
        layoutFault: undefined,
      },
    })
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 3 }), (pieces, bufferPages) => {
        expect(check('base/5/16384.1', file, pieces, bufferPages)).toEqual(whole)
      }),
      { numRuns: 50 },
    )
  })

  test('of another segment has no page in its place', () => {
    const { badPages = [] } = check('base/5/16384', file)?.findings ?? {}
    expect(badPages.map(({ isNewer }) => isNewer)).toHaveLength(5)
    expect(badPages.filter(({ isNewer }) => isNewer)).toHaveLength(2)
  })

  test('has a bad page where one looks new, but is not all zeros', () => {
    const file = Buffer.concat([Buffer.alloc(PAGE_SIZE), Buffer.alloc(PAGE_SIZE), pageOf(2)])
    file.writeUInt8(1, 2 * PAGE_SIZE - 1)
    expect(check('base/5/16384', file)?.findings?.badPages).toEqual([
      { block: 1, lsn: 0n, isNewer: false, checksums: undefined },
    ])
  })

  test('with many bad pages has some of them told, and the others counted', () => {
    const file = Buffer.concat(Array.from({ length: 300 }, (_, block) => spoilt(pageOf(block))))
    expect(check('base/5/16384', file)?.findings).toMatchObject({ furtherOlder: 200, furtherNewer: 0 })
  })

  test('that is right has nothing to be told', () => {
    expect(check('global/1', pageOf(0))).toEqual({ pages: 1, findings: undefined })
    expect(check('global/1', Buffer.alloc(0))).toEqual({ pages: 0, findings: undefined })
  })
})

describe('an incremental file', () => {
  const pathname = 'base/5/INCREMENTAL.16384'

  test('is judged the same however it is read, also when its header is longer than the buffer', () => {
    const blocks = Array.from({ length: 2100 }, (_, index) => index * 3)
    const pages = blocks.map((block) => pageOf(block))
    spoilt(pages[7] ?? Buffer.alloc(0))
    const file = incrementalFile(blocks, pages)
    const whole = check(pathname, file, [Infinity], 3000)
    expect(whole).toMatchObject({ pages: 2100, findings: { badPages: [{ block: 21 }] } })
    fc.assert(
      fc.property(pieces, (pieces) => {
        expect(check(pathname, file, pieces, 1)).toEqual(whole)
      }),
      { numRuns: 5 },
    )
  })

  test('without pages is its preamble', () => {
    const file = Buffer.from('0d1faed30000000001000000', 'hex')
    expect(check(pathname, file, [5])).toEqual({ pages: 0, findings: undefined })
    expect(check(pathname, file.subarray(0, 11))?.findings?.layoutFault).toBe(
      'has 11 bytes, too few for the header of an incremental file',
    )
    expect(check(pathname, Buffer.alloc(0))?.findings?.layoutFault).toContain('has 0 bytes')
  })

  test('with a fault in its layout has no pages', () => {
    const file = incrementalFile([5, 4], [pageOf(5), pageOf(4)])
    expect(check(pathname, file)).toMatchObject({
      pages: 0,
      findings: { badPages: [], layoutFault: 'has block number 4 after 5 in its block list (entry 2)' },
    })
    expect(check(pathname, file.subarray(0, -1))?.findings?.layoutFault).toBe(
      'has 24575 bytes, but should have 24576 by its block count of 2',
    )
  })

  test('of no relation is judged by its layout only', () => {
    const file = incrementalFile([4], [spoilt(pageOf(4))])
    expect(check('base/5/INCREMENTAL.some', file)).toEqual({ pages: 0, findings: undefined })
    expect(check('base/5/INCREMENTAL.some', file.subarray(1))?.findings?.layoutFault).toContain('magic')
  })
})

test('what follows a file is not taken for a part of it', () => {
  const check = new ContentCheck(rules, replayedWal(), PAGE_SIZE)
  for (let round = 0; round < 2; round++) {
    check.begin('base/5/1', PAGE_SIZE)
    pageOf(0).copy(check.buffer)
    check.take(PAGE_SIZE)
    expect(check.end()).toEqual({ pages: 1, findings: undefined })
    check.begin('base/5/1', 3)
    check.take(3)
    expect(check.end().findings?.partialPage).toEqual({ block: 0, bytes: 3 })
  }
})

test.each<{ pathname: string; changes: Partial<ContentRules>; has: boolean }>([
  { pathname: 'base/5/1', changes: {}, has: true },
  { pathname: 'base/5/1', changes: { hasPageChecksums: false }, has: false },
  { pathname: 'base/5/INCREMENTAL.1', changes: { hasPageChecksums: false }, has: true },
  { pathname: 'base/5/INCREMENTAL.1', changes: { hasIncrementalFiles: false }, has: false },
  { pathname: 'PG_VERSION', changes: {}, has: false },
])('whether "$pathname" is looked at with $changes is $has', ({ pathname, changes, has }) => {
  const changed = { ...rules, ...changes }
  expect(hasContent(pathname, changed)).toBe(has)
  expect(new ContentCheck(changed, replayedWal(), PAGE_SIZE).begin(pathname, 0)).toBe(has)
})
