import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { pageChecksum } from '../../../src/postgres/data-page/page-checksum.js'
import { PAGE_SIZE, pageOffsets, readPageHeader } from '../../../src/postgres/data-page/page-layout.js'
import {
  createPageChecker,
  createPlainPageChecker,
  createSimdPageChecker,
} from '../../../src/postgres/data-page/page-checker.js'

/** A page without content, as a server makes it. */
function emptyPage(): Buffer {
  const page = Buffer.alloc(PAGE_SIZE)
  page.writeUInt32LE(0x0100_0028, 4)
  page.writeUInt16LE(24, 12)
  page.writeUInt16LE(PAGE_SIZE, pageOffsets.upper)
  page.writeUInt16LE(PAGE_SIZE, 16)
  page.writeUInt16LE(0x2004, 18)
  return page
}

function fullPage(): Buffer {
  const page = emptyPage()
  for (let at = 24; at < PAGE_SIZE; at++) page[at] = at
  return page
}

// Checked against pages of real clusters of 15 and 18.
const golden = [
  ['an empty page', emptyPage, 0, 0xcfc8],
  ['an empty page', emptyPage, 1, 0xcfc9],
  ['an empty page', emptyPage, 131_072, 0xcfca],
  ['an empty page', emptyPage, 4_294_967_294, 0x3038],
  ['a full page', fullPage, 0, 0x82a5],
  ['a full page', fullPage, 7, 0x82a2],
] as const

describe('pageChecksum', () => {
  test.each(golden)('of %s, %s, block %d is %#', (_, makePage, block, checksum) => {
    expect(pageChecksum(makePage(), 0, block)).toBe(checksum)
  })

  test('does not depend on the stored checksum, nor on where in the buffer the page is', () => {
    const page = fullPage()
    page.writeUInt16LE(0xffff, pageOffsets.checksum)
    expect(pageChecksum(Buffer.concat([Buffer.alloc(3), page]), 3, 7)).toBe(0x82a2)
  })
})

test('the LSN of a page has its upper half first', () => {
  const page = fullPage()
  page.writeUInt32LE(0x16, 0)
  page.writeUInt32LE(0xb374_d848, 4)
  page.writeUInt16LE(0x1234, pageOffsets.checksum)
  expect(readPageHeader(Buffer.concat([Buffer.alloc(5), page]), 5)).toEqual({
    lsn: 0x16_b374_d848n,
    checksum: 0x1234,
  })
})

const PAGES = 4

describe.each([
  { name: 'plain JavaScript', create: createPlainPageChecker, engine: 'javascript' },
  { name: 'WebAssembly', create: createSimdPageChecker, engine: 'wasm-simd' },
])('a page checker of $name', ({ create, engine }) => {
  const checker = create(PAGES * PAGE_SIZE)

  test('says what it is, and has a buffer', () => {
    expect(checker).toMatchObject({ engine, buffer: { length: PAGES * PAGE_SIZE } })
  })

  test.each(golden)('knows the checksum of %s (%s), block %d', (_, makePage, block, checksum) => {
    makePage().copy(checker.buffer, PAGE_SIZE)
    checker.buffer.writeUInt16LE(checksum, PAGE_SIZE + pageOffsets.checksum)
    expect(checker.findMismatch(PAGE_SIZE, 1, block)).toBe(-1)
    checker.buffer.writeUInt16LE(checksum - 1, PAGE_SIZE + pageOffsets.checksum)
    expect(checker.findMismatch(PAGE_SIZE, 1, block)).toBe(0)
  })

  test('passes over a new page, whatever else is in it', () => {
    checker.buffer.fill(0xa5)
    checker.buffer.writeUInt16LE(0, pageOffsets.upper)
    expect(checker.findMismatch(0, 1, 0)).toBe(-1)
  })

  test('finds nothing among no pages', () => {
    checker.buffer.fill(0xa5)
    expect(checker.findMismatch(0, 0, 0)).toBe(-1)
  })

  test('finds every flipped bit but those that make the page a new one', () => {
    const page = fullPage()
    page.writeUInt16LE(0x82a2, pageOffsets.checksum)
    for (let bit = 0; bit < PAGE_SIZE * 8; bit += bit < 64 * 8 ? 1 : 61) {
      page.copy(checker.buffer)
      checker.buffer[bit >> 3] = (checker.buffer[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const isNew = checker.buffer.readUInt16LE(pageOffsets.upper) === 0
      expect([bit, checker.findMismatch(0, 1, 7)]).toEqual([bit, isNew ? -1 : 0])
    }
  })
})

test('WebAssembly and plain JavaScript find the same first page', () => {
  const [plain, simd] = [createPlainPageChecker(PAGES * PAGE_SIZE), createSimdPageChecker(PAGES * PAGE_SIZE)]
  const arbitraryPage = fc.record({
    content: fc.oneof(
      fc.uint8Array({ minLength: PAGE_SIZE, maxLength: PAGE_SIZE, size: 'max' }),
      // Far quicker to make, and with the values at which arithmetic might differ.
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.constant(Uint8Array.of(0xff)),
    ),
    isRight: fc.boolean(),
  })
  const start = fc.nat(PAGES - 1)
  const block = fc.oneof(fc.nat(), fc.integer({ min: 2 ** 31, max: 2 ** 32 - 1 - PAGES }))
  let mismatches = 0
  fc.assert(
    fc.property(
      fc.array(arbitraryPage, { minLength: PAGES, maxLength: PAGES }),
      start,
      block,
      (pages, start, block) => {
        for (const [index, { content, isRight }] of pages.entries()) {
          const at = index * PAGE_SIZE
          plain.buffer.fill(content, at, at + PAGE_SIZE)
          if (isRight) {
            const checksum = pageChecksum(plain.buffer, at, block + index - start)
            plain.buffer.writeUInt16LE(checksum, at + pageOffsets.checksum)
          }
        }
        plain.buffer.copy(simd.buffer)
        const args = [start * PAGE_SIZE, PAGES - start, block] as const
        const found = plain.findMismatch(...args)
        if (found >= 0) mismatches++
        expect(simd.findMismatch(...args)).toBe(found)
      },
    ),
    { numRuns: 300 },
  )
  expect(mismatches).toBeGreaterThan(0)
  expect(mismatches).toBeLessThan(300)
})

test('the fast one is taken where it runs, else the plain one', () => {
  expect(createPageChecker(PAGE_SIZE).engine).toBe('wasm-simd')
  vi.stubGlobal('WebAssembly', undefined)
  try {
    expect(createPageChecker(PAGE_SIZE).engine).toBe('javascript')
  } finally {
    vi.unstubAllGlobals()
  }
})
