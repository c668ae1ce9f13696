import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c, extendCrc32c } from '../../../src/postgres/crc32c.js'
import { plainRecordCrc } from '../../../src/postgres/wal/record-crc.js'
import { RECORD_HEADER_SIZE, recordFields } from '../../../src/postgres/wal/record-header.js'
import { createWalBuffer } from '../../../src/postgres/wal/wal-buffer.js'

const size = 1000
const { buffer, crc } = createWalBuffer(size)
const view = new DataView(buffer.buffer, buffer.byteOffset, size)

test('the CRC-32C of WebAssembly has the check value', () => {
  buffer.write('123456789')
  expect(~crc.extend(-1, view, 0, 9) >>> 0).toBe(0xe3069283)
})

test('is used where WebAssembly is', () => {
  expect(crc).not.toBe(plainRecordCrc)
})

test('is that of the tables, wherever the bytes begin and end', () => {
  const bytes = fc.uint8Array({ minLength: size, maxLength: size })
  fc.assert(
    fc.property(bytes, fc.nat(size), fc.nat(size), fc.integer(), (content, one, other, seed) => {
      buffer.set(content)
      // Of a record's header that is cut by the end of a page, the body begins behind what there is.
      expect(crc.extend(seed, view, one, other)).toBe(extendCrc32c(seed, view, one, other))
      const [start, end] = one < other ? [one, other] : [other, one]
      expect(~crc.extend(-1, view, start, end) >>> 0).toBe(crc32c(content, start, end))
    }),
  )
})

/** Writes records of these lengths, one after the other, and returns where they begin and where the last one ends. */
function writeRecords(lengths: readonly number[]): number[] {
  const places = [0]
  for (const length of lengths) {
    const at = places.at(-1) ?? 0
    view.setUint32(at + recordFields.totalLength, length, true)
    const bodyCrc = extendCrc32c(-1, view, at + RECORD_HEADER_SIZE, at + length)
    view.setInt32(at + recordFields.crc, ~extendCrc32c(bodyCrc, view, at, at + recordFields.crc), true)
    places.push(at + 8 * Math.ceil(length / 8))
  }
  return places
}

const lengths = fc.array(fc.integer({ min: RECORD_HEADER_SIZE, max: 120 }), { minLength: 1, maxLength: 6 })

test('goes over records whose CRCs are right, to the first byte that was changed', () => {
  const fill = fc.uint8Array({ minLength: size, maxLength: size })
  fc.assert(
    fc.property(fill, lengths, fc.nat(), fc.nat(7), (content, ofRecords, place, bit) => {
      buffer.set(content)
      const places = writeRecords(ofRecords)
      const last = places.at(-1) ?? 0
      const lastEnd = (places.at(-2) ?? 0) + (ofRecords.at(-1) ?? 0)
      for (const { skipIntact } of [crc, plainRecordCrc]) expect(skipIntact(view, 0, last)).toBe(last)
      // Not what lies between them.
      const changed = place % lastEnd
      const index = places.findLastIndex((start) => start <= changed)
      const isBetween = changed >= (places[index] ?? 0) + (ofRecords[index] ?? 0)
      buffer[changed] = (buffer[changed] ?? 0) ^ (1 << bit)
      const expected = isBetween ? last : places[index]
      for (const { skipIntact } of [crc, plainRecordCrc]) expect(skipIntact(view, 0, last)).toBe(expected)
    }),
  )
})

test('goes over no record that is not there whole, and over none that is shorter than its header', () => {
  buffer.fill(0)
  const places = writeRecords([40, 64, 30])
  const [, second, third, end] = places as [number, number, number, number]
  for (const { skipIntact } of [crc, plainRecordCrc]) {
    // What is left is zero.
    expect(skipIntact(view, 0, size)).toBe(end)
    expect(skipIntact(view, second, size)).toBe(end)
    expect(skipIntact(view, 0, third + 29)).toBe(third)
    expect(skipIntact(view, 0, second + 23)).toBe(second)
    expect(skipIntact(view, 0, 0)).toBe(0)
    expect(skipIntact(view, 8, 0)).toBe(8)
    // Behind the view, too, there is nothing that is looked at.
    expect(skipIntact(view, size - 8, size)).toBe(size - 8)
  }
})

test.each([0, 23, 1000, 0x4000_0000, 0xffff_ffff])(
  'nor over one that says that it has %i bytes',
  (length) => {
    buffer.fill(1)
    writeRecords([40])
    view.setUint32(recordFields.totalLength, length, true)
    for (const { skipIntact } of [crc, plainRecordCrc]) expect(skipIntact(view, 0, size - 1)).toBe(0)
  },
)
