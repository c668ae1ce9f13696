import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatLsn, parseLsn } from '../../src/postgres/lsn.js'

const largest = 2n ** 64n - 1n

describe('parseLsn', () => {
  test.each([
    ['0/0', 0n],
    ['0/E00028', 0xe00028n],
    ['0/e00028', 0xe00028n],
    ['0/00E00028', 0xe00028n],
    ['16/B374D848', 0x16b374d848n],
    ['FFFFFFFF/FFFFFFFF', largest],
  ])('reads %s', (text, lsn) => {
    expect(parseLsn(text)).toBe(lsn)
  })

  test.each([
    '',
    '/',
    '0',
    '0/',
    '/0',
    '0/1zz',
    ' 0/1',
    '0/1 ',
    '0/1\n',
    '0x0/1',
    '-1/0',
    '0/123456789',
    '0/1/2',
  ])('refuses %j', (text) => {
    expect(parseLsn(text)).toBeUndefined()
  })
})

describe('formatLsn', () => {
  test('pads nothing and writes upper case', () => {
    expect(formatLsn(0xabcd_0000_00efn)).toBe('ABCD/EF')
  })

  test('pads the lower half to eight digits where asked to', () => {
    expect(formatLsn(0x2000028n, 8)).toBe('0/02000028')
    expect(formatLsn(0xabcd_0000_00efn, 8)).toBe('ABCD/000000EF')
    expect(formatLsn(largest, 8)).toBe('FFFFFFFF/FFFFFFFF')
  })

  test('writes what parseLsn reads', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: largest }), fc.constantFrom(1, 8), (lsn, digits) => {
        expect(parseLsn(formatLsn(lsn, digits))).toBe(lsn)
      }),
    )
  })
})
