import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { displayJson, displayLines, displayText, shortenText } from '../../src/files/display-text.js'

const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

const texts: readonly (readonly [string, string])[] = [
  ['größe 数据 🐘 a b"c\\', 'größe 数据 🐘 a b"c\\'],
  ['\u001b]0;title\u0007', String.raw`\x1b]0;title\x07`],
  ['\u009b31m', String.raw`\xc2\x9b31m`],
  ['\u007f', String.raw`\x7f`],
  ['gnp.\u202eexe', String.raw`gnp.\xe2\x80\xaeexe`],
  ['\u2066a\u2069', String.raw`\xe2\x81\xa6a\xe2\x81\xa9`],
  ['a\u200bb\u200fc\ufeff', String.raw`a\xe2\x80\x8bb\xe2\x80\x8fc\xef\xbb\xbf`],
  ['a\u2028b\u2029', String.raw`a\xe2\x80\xa8b\xe2\x80\xa9`],
  ['a\u00adb\u{e0041}\u3164', String.raw`a\xc2\xadb\xf3\xa0\x81\x81\xe3\x85\xa4`],
  ['\udcff', String.raw`\xff`],
]

describe('a text that a person sees', () => {
  test.each([...texts, ['a\nb\tc', String.raw`a\x0ab\x09c`] as const])('%j is %s', (text, shown) => {
    expect(displayText(text)).toBe(shown)
    expect(displayText(shown)).toBe(shown)
  })

  test.each([...texts, ['a\nb\tc\r\n', 'a\nb\tc\\x0d\n'] as const])('%j in lines is %s', (text, shown) => {
    expect(displayLines(text)).toBe(shown)
  })

  test('has nothing in it that is not seen', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(displayText(text)).not.toMatch(hidden)
      }),
    )
  })
})

describe('a JSON document that a person sees', () => {
  test.each(texts)('with %j means what it meant', (text) => {
    const value = { [text]: [text, { text }] }
    for (const space of [0, 2]) {
      const shown = displayJson(JSON.stringify(value, null, space))
      expect(shown.replaceAll('\n', '')).not.toMatch(hidden)
      expect(JSON.parse(shown)).toEqual(value)
    }
  })
})

describe('a text that is repeated in a message', () => {
  test.each([
    ['12345', 5, '12345'],
    ['123456', 5, '12345... (6 characters)'],
    ['🐘🐘🐘', 3, '🐘🐘🐘'],
    ['🐘🐘🐘🐘', 3, '🐘🐘🐘... (4 characters)'],
    ['', 0, ''],
    [String.raw`a\xffb`, 4, 'a... (6 characters)'],
  ])('%j of at most %i characters is %j', (text, max, shown) => {
    expect(shortenText(text, max)).toBe(shown)
  })

  test('is never cut within a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, max) => {
        expect(shortenText(text, max).isWellFormed()).toBe(true)
      }),
    )
  })
})
