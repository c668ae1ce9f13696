import { describe, expect, test } from 'vitest'
import {
  readCount,
  readLsn,
  readSystemIdentifier,
  readTimeline,
  readWalRange,
  readWorkerNumber,
} from '../../cli/option-values.js'

describe('what option values mean', () => {
  test.each([
    [readCount('-j', '1'), 1],
    [readCount('-j', '128'), 128],
    [readWorkerNumber('-w', '0'), 0],
    [readTimeline('-t', '4294967295'), 4_294_967_295],
    [readSystemIdentifier('-s', '7711113546893945671'), 7_711_113_546_893_945_671n],
    [readSystemIdentifier('-s', '18446744073709551615'), 18_446_744_073_709_551_615n],
    [readLsn('-l', 'A/2000028'), 0xa_0200_0028n],
    [readWalRange('-r', '2,0/2000028,1/0'), { timeline: 2, startLsn: 0x2000028n, endLsn: 1n << 32n }],
  ])('%#', (value, expected) => {
    expect(value).toEqual(expected)
  })
})

describe('values that are refused', () => {
  test.each([
    {
      read: readCount,
      texts: ['0', '-1', '+1', '01', ' 1', '1 ', '1.0', '1e3', '0x1', 'one', '9007199254740992'],
    },
    { read: readWorkerNumber, texts: ['-1', '00', '', 'x', '9007199254740992'] },
    { read: readTimeline, texts: ['0', '4294967296', '1x'] },
    { read: readSystemIdentifier, texts: ['0', '18446744073709551616', '7.7e18', '0xff'] },
    { read: readLsn, texts: ['', '0', '0/', '/0', '0/G', '0x0/1', '0/123456789', ' 0/1', '0/1 '] },
    {
      read: readWalRange,
      texts: [
        '',
        '1',
        '1,0/1',
        '1,0/1,',
        ',0/1,0/2',
        '0,0/1,0/2',
        '1,0/1,0/2,',
        '1,0/1,0/2,3',
        '1, 0/1, 0/2',
        '1;0/1;0/2',
      ],
    },
  ])('$read.name', ({ read, texts }) => {
    for (const text of texts) {
      const message = `invalid value "${text}" for option --x`
      expect(() => read('--x', text)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
    }
  })
})
