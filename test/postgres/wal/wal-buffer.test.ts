import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c, extendCrc32c } from '../../../src/postgres/crc32c.js'
import { createWalBuffer, createWasmCrc32c } from '../../../src/postgres/wal/wal-buffer.js'

const size = 1000
const { buffer, extend } = createWasmCrc32c(size)

test('the CRC-32C of WebAssembly has the check value', () => {
  buffer.write('123456789')
  expect(~extend(-1, buffer.byteOffset, buffer.byteOffset + 9) >>> 0).toBe(0xe3069283)
})

test('the CRC-32C of WebAssembly is that of the tables, wherever the bytes begin and end', () => {
  const wal = createWalBuffer(size)
  const view = new DataView(wal.buffer.buffer, wal.buffer.byteOffset, size)
  expect(wal.extendCrc32c).not.toBe(extendCrc32c)
  const bytes = fc.uint8Array({ minLength: size, maxLength: size })
  fc.assert(
    fc.property(bytes, fc.nat(size), fc.nat(size), fc.integer(), (content, one, other, crc) => {
      wal.buffer.set(content)
      // Of a record's header that is cut by the end of a page, the body begins behind what there is.
      expect(wal.extendCrc32c(crc, view, one, other)).toBe(extendCrc32c(crc, view, one, other))
      const [start, end] = one < other ? [one, other] : [other, one]
      expect(~wal.extendCrc32c(-1, view, start, end) >>> 0).toBe(crc32c(content, start, end))
    }),
  )
})
