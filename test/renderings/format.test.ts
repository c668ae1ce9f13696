import { expect, test } from 'vitest'
import { formatBytes, formatCount, formatSeconds } from '../../src/renderings/format.js'

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [1023, '1023 bytes'],
  [1024, '1.0 kB'],
  [1536, '1.5 kB'],
  [1024 * 1024 - 1, '1.0 MB'],
  [1024 * 1024, '1.0 MB'],
  [25_270_000, '24.1 MB'],
  [1024 ** 4, '1.0 TB'],
  [Number.MAX_SAFE_INTEGER, '8.0 PB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test('only one thing is singular', () => {
  expect([0, 1, 2].map((count) => formatCount(count, 'file'))).toEqual(['0 files', '1 file', '2 files'])
})

test.each([
  [0, '0.00 s'],
  [0.2134, '0.21 s'],
  [12.345, '12.35 s'],
  [754.4, '754 s'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text)
})
