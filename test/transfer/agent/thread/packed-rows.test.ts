import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodePathname } from '../../../../src/files/pathname.js'
import { packRows, unpackRows } from '../../../../src/transfer/agent/thread/packed-rows.js'

const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))

test('rows come out as the bytes that went in, names that are not UTF-8 too', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(bytes, fc.option(bytes), bytes), { maxLength: 30 }), (rows) => {
      const packed = packRows(
        3,
        rows.map(([name, value, last]) => [decodePathname(name), value, last]),
      )
      const unpacked = [...unpackRows(structuredClone(packed))]
      expect(unpacked.map((row) => row.map((value) => value && Buffer.from(value)))).toEqual(rows)
    }),
  )
})

test('more rows than fit at first', () => {
  const rows = Array.from({ length: 5000 }, (_, index) => [`base/5/${index}`, null, 'file'])
  const unpacked = [...unpackRows(packRows(3, rows))]
  expect(unpacked).toHaveLength(5000)
  expect(String(unpacked.at(-1)?.[0])).toBe('base/5/4999')
})
