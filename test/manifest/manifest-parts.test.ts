import { expect, test } from 'vitest'
import { formatLastModified } from '../../src/manifest/manifest-parts.js'

test.each([
  [Date.UTC(2026, 10, 22, 21, 34, 22, 999), '2026-11-22 21:34:22 GMT'],
  [0, '1970-01-01 00:00:00 GMT'],
  [-1, '1969-12-31 23:59:59 GMT'],
  [Date.UTC(9999, 11, 31, 23, 59, 59), '9999-12-31 23:59:59 GMT'],
  [Date.UTC(10_000, 0, 2, 3, 4, 5), '10000-01-02 03:04:05 GMT'],
])('the time %d is %s', (milliseconds, text) => {
  expect(formatLastModified(new Date(milliseconds))).toBe(text)
})
