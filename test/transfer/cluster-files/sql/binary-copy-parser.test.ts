import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { BinaryCopyParser } from '../../../../src/transfer/cluster-files/sql/binary-copy-parser.js'
import { binaryCopy, everyCut } from './copy-messages.js'

interface Row {
  readonly fields: readonly (string | null)[]
  readonly length: number | undefined
  value: string
}

function parse(chunks: readonly Buffer[], columns: number): Row[] {
  const rows: Row[] = []
  let ended = 0
  const parser = new BinaryCopyParser(columns, {
    row: (fields, length) =>
      rows.push({ fields: fields.map((field) => field?.toString('latin1') ?? null), length, value: '' }),
    value: (piece) => {
      const row = rows.at(-1)
      if (row !== undefined) row.value += piece.toString('latin1')
    },
    endOfRow: () => ended++,
  })
  for (const chunk of chunks) parser.push(chunk)
  parser.end()
  expect(ended).toBe(rows.length)
  return rows
}

const rows = [
  [Buffer.from('one'), null, Buffer.from('the value')],
  [Buffer.alloc(0), Buffer.from('two'), Buffer.alloc(0)],
  [null, null, null],
]
const parsed = [
  { fields: ['one', null], length: 9, value: 'the value' },
  { fields: ['', 'two'], length: 0, value: '' },
  { fields: [null, null], length: undefined, value: '' },
]

test('reads the rows, wherever the stream is cut', () => {
  for (const chunks of everyCut(binaryCopy(rows))) expect(parse(chunks, 3)).toEqual(parsed)
})

test('skips an extension of the header', () => {
  for (const chunks of everyCut(binaryCopy(rows, Buffer.from('more'))))
    expect(parse(chunks, 3)).toEqual(parsed)
})

test('reads what has no rows', () => {
  expect(parse([binaryCopy([])], 3)).toEqual([])
})

test('any rows, cut anywhere', () => {
  const field = fc.option(fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)))
  fc.assert(
    fc.property(fc.array(fc.tuple(field, field)), fc.integer({ min: 1, max: 50 }), (list, step) => {
      const bytes = binaryCopy(list)
      const chunks: Buffer[] = []
      for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.subarray(at, at + step))
      expect(parse(chunks, 2)).toEqual(
        list.map(([first, last]) => ({
          fields: [first?.toString('latin1') ?? null],
          length: last?.length,
          value: last?.toString('latin1') ?? '',
        })),
      )
    }),
  )
})

test('refuses what is cut short, at every byte', () => {
  const bytes = binaryCopy(rows)
  for (let length = 0; length < bytes.length; length++) {
    expect(() => parse([bytes.subarray(0, length)], 3)).toThrow('unexpected end in the data of COPY')
  }
})

test.each([
  ['signature', Buffer.from('PGCOPY\n\0\r\n\0\0\0\0\0\0\0\0\0', 'latin1'), 'unexpected signature'],
  ['number of columns', binaryCopy([[null]]), 'unexpected number of columns 1'],
  ['bytes after the end', Buffer.concat([binaryCopy([]), Buffer.of(0)]), 'unexpected bytes after its end'],
  [
    'negative length',
    Buffer.concat([binaryCopy([]).subarray(0, 19), Buffer.from([0, 3, 0xff, 0xff, 0xff, 0xfe])]),
    'unexpected length -2 of a column',
  ],
  [
    'length beyond all reason',
    Buffer.concat([binaryCopy([]).subarray(0, 19), Buffer.from([0, 3, 0x7f, 0xff, 0xff, 0xff])]),
    'unexpected length 2147483647 of a column',
  ],
])('refuses a wrong %s', (_what, bytes, words) => {
  expect(() => parse([bytes], 3)).toThrow(words)
})
