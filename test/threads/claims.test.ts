import { expect, test } from 'vitest'
import { Abandoned, Claims } from '../../src/threads/claims.js'

test('each place is taken once, by whoever shares the memory', () => {
  const claims = new Claims()
  const other = new Claims(claims.buffer)
  expect([claims.claim(), other.claim(), claims.claim()]).toEqual([0, 1, 2])
})

test('all see that nobody wants to know any more', () => {
  const claims = new Claims()
  const other = new Claims(claims.buffer)
  other.throwIfAbandoned()
  claims.abandon()
  expect(other.isAbandoned).toBe(true)
  expect(() => other.throwIfAbandoned()).toThrow(Abandoned)
})
