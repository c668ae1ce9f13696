import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  comparePathnames,
  decodePathname,
  displayPathname,
  encodePathname,
  isUtf8Pathname,
} from '../../src/files/pathname.js'

/** Bytes that are nearly, but not always, text. */
const bytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 4 }).map((array) => Buffer.from(array)),
      fc.string({ unit: 'binary', maxLength: 4 }).map((text) => Buffer.from(text)),
      fc
        .constantFrom('c0af', 'eda080', 'edb080', 'f4908080', 'f09f90', 'e282', '80')
        .map((hex) => Buffer.from(hex, 'hex')),
    ),
  )
  .map((parts) => Buffer.concat(parts))

describe('a pathname', () => {
  test('is its bytes again', () => {
    fc.assert(
      fc.property(bytes, (name) => {
        expect(encodePathname(decodePathname(name))).toEqual(name)
      }),
    )
  })

  test('is the same string only for the same bytes', () => {
    fc.assert(
      fc.property(bytes, bytes, (left, right) => {
        expect(decodePathname(left) === decodePathname(right)).toBe(left.equals(right))
      }),
    )
  })

  test('is made of its components, whatever bytes they are', () => {
    fc.assert(
      fc.property(bytes, bytes, (parent, name) => {
        const joined = decodePathname(Buffer.concat([parent, Buffer.from('/'), name]))
        expect(`${decodePathname(parent)}/${decodePathname(name)}`).toBe(joined)
      }),
    )
  })

  test('is ordinary text where its bytes are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(decodePathname(Buffer.from(text))).toBe(text)
        expect(isUtf8Pathname(text)).toBe(true)
      }),
    )
  })

  test('is on one line of well-formed text without controls when it is shown', () => {
    fc.assert(
      fc.property(bytes, (name) => {
        const shown = displayPathname(decodePathname(name))
        expect(shown.isWellFormed()).toBe(true)
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      }),
    )
  })

  test('can be told from what is shown of it', () => {
    fc.assert(
      fc.property(bytes, (name) => {
        const shown = displayPathname(decodePathname(name))
        const parts = shown.split(/\\x([0-9a-f]{2})/)
        const read = parts.map((part, index) => Buffer.from(part, index % 2 === 0 ? 'utf8' : 'hex'))
        expect(Buffer.concat(read)).toEqual(name)
      }),
    )
  })
})

test.each([
  ['61', 'a', true],
  ['e69580', '敀', true],
  ['f09f9098', '🐘', true],
  ['ff', '\udcff', false],
  ['c0af', '\udcc0\udcaf', false],
  ['eda080', '\udced\udca0\udc80', false],
  ['61ff62', 'a\udcffb', false],
])('bytes %s are pathname %j', (hex, pathname, isUtf8) => {
  expect(decodePathname(Buffer.from(hex, 'hex'))).toBe(pathname)
  expect(isUtf8Pathname(pathname)).toBe(isUtf8)
})

test.each([
  ['a b"c\\', 'a b"c\\'],
  ['größe 数据 🐘', 'größe 数据 🐘'],
  ['a\nb\t\u0000\u007f', 'a\\x0ab\\x09\\x00\\x7f'],
  ['a\udcff', 'a\\xff'],
  // Terminals take it for the beginning of a command.
  ['a\u009b31m', 'a\\xc2\\x9b31m'],
  ['a\u2028b', 'a\\xe2\\x80\\xa8b'],
  ['txt.\u202eexe', 'txt.\\xe2\\x80\\xaeexe'],
  // The four characters, and not the byte.
  ['a\\xff', 'a\\x5cxff'],
  ['x'.repeat(1024), 'x'.repeat(1024)],
  ['\udcff'.repeat(5000), `${'\\xff'.repeat(1024)}... (5000 characters)`],
])('%j is shown as %s', (pathname, shown) => {
  expect(displayPathname(pathname)).toBe(shown)
})

test('the order is that of code units, on every machine', () => {
  expect(['b', 'ä', 'B', 'a/b', 'a', 'a-b'].toSorted(comparePathnames)).toEqual([
    'B',
    'a',
    'a-b',
    'a/b',
    'b',
    'ä',
  ])
  expect(comparePathnames('a', 'a')).toBe(0)
})
