import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../src/postgres/crc32c.js'

describe('crc32c', () => {
  // As a manifest shows them: the hexadecimal of the little-endian bytes.
  test.each([
    ['', '00000000'],
    ['15\n', '8a744722'],
    ['18\n', '994e7be2'],
    ['123456789', '839206e3'],
  ])('of %j is %s in a manifest', (text, shown) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(crc32c(Buffer.from(text)))
    expect(bytes.toString('hex')).toBe(shown)
  })

  test.each([
    ['CHECKPOINT_REDO', '1e00000000000000b892b20300000000e0000000ea207915ff0401000000', 0x157920ea],
    ['BACKUP_END', '22000000000000008000c0030000000050000000e3280106ff082800c00300000000', 0x060128e3],
    ['SWITCH', '1800000000000000f800c00300000000400000000cefd584', 0x84d5ef0c],
  ])('of the real WAL record %s is what the record says', (_, hex, crc) => {
    const record = Buffer.from(hex, 'hex')
    expect(crc32c(record, 0, 20, crc32c(record, 24))).toBe(crc)
  })

  test('is that of the definition, bit by bit, for any length and place', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, start) => {
        fc.pre(start <= bytes.length)
        expect(crc32c(bytes, start)).toBe(crcByDefinition(bytes.subarray(start)))
      }),
    )
  })

  test('goes on from a seed', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (head, tail) => {
        const whole = Uint8Array.from([...head, ...tail])
        expect(crc32c(tail, 0, tail.length, crc32c(head))).toBe(crc32c(whole))
        expect(crc32c(whole, head.length)).toBe(crc32c(tail))
      }),
    )
  })
})

function crcByDefinition(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1
  }
  return ~crc >>> 0
}
