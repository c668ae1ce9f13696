import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { RepeatedNumbers } from '../../../src/manifest/merge/repeated-numbers.js'

/** Those that a `Set` has already when they come. */
function repeatedOf(numbers: readonly number[]): Set<number> {
  const seen = new Set<number>()
  return new Set(numbers.filter((number) => seen.size === seen.add(number).size))
}

test('finds the numbers that a Set has already when they come', () => {
  const number = fc.oneof(fc.maxSafeNat(), fc.nat(5), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER))
  fc.assert(
    fc.property(fc.array(number, { maxLength: 500 }), fc.nat(50), (numbers, expected) => {
      const repeated = new RepeatedNumbers(expected)
      for (const value of numbers) repeated.add(value)
      expect(repeated.find()).toEqual(repeatedOf(numbers))
    }),
  )
})

test.each([
  { expected: 30_000, count: 30_000 },
  { expected: 30_000, count: 90_000 },
  { expected: 0, count: 30_000 },
  { expected: 30_000, count: 30_000, among: 1000 },
])('of $count numbers where $expected were expected, too', ({ expected, count, among = count }) => {
  // The golden ratio spreads them evenly, whatever their number.
  const spread = (index: number): number => Math.floor((((index % among) * 0.6180339887498949) % 1) * 2 ** 53)
  const numbers = Array.from({ length: count }, (_, index) => spread(index))
  const twice = [...numbers, ...numbers.filter((_, index) => index % 97 === 0)]
  const repeated = new RepeatedNumbers(expected)
  for (const value of twice) repeated.add(value)
  expect(repeated.find()).toEqual(repeatedOf(twice))
})

test('asked again, finds what came meanwhile', () => {
  const repeated = new RepeatedNumbers(10)
  for (const value of [3, 2 ** 52, 3]) repeated.add(value)
  expect(repeated.find()).toEqual(new Set([3]))
  repeated.add(2 ** 52)
  expect(repeated.find()).toEqual(new Set([3, 2 ** 52]))
})
