import { expect, test } from 'vitest'
import { describeBug } from '../../cli/describe-bug.js'

test('a bug is one line that says where to report it', () => {
  const said = describeBug(new TypeError('x is not\na function'), false)
  expect(said).toMatch(
    /^pbmanifest: error: this is a bug of pbmanifest, .* https:\S+: TypeError: x is not a function$/,
  )
})

test('the stack follows when it is asked for', () => {
  expect(describeBug(new TypeError('x'), true)).toMatch(/\nTypeError: x\n +at /)
})

test('anything can be thrown', () => {
  expect(describeBug(undefined, true)).toMatch(/: thrown: undefined$/)
})
