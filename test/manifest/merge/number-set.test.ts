import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { NumberSet } from '../../../src/manifest/merge/number-set.js'

test('holds what a Set of the same numbers holds', () => {
  const number = fc.oneof(fc.maxSafeNat(), fc.nat(5), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER))
  fc.assert(
    fc.property(fc.array(number, { maxLength: 500 }), fc.nat(50), (numbers, expected) => {
      const set = new NumberSet(expected)
      const model = new Set<number>()
      for (const value of numbers) {
        // Zero and one are the same to it.
        const known = value === 0 ? 1 : value
        expect(set.add(value)).toBe(!model.has(known))
        model.add(known)
      }
      expect(set.size).toBe(model.size)
    }),
  )
})
