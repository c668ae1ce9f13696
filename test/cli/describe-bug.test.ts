import { expect, test } from 'vitest'
import { describeBug } from '../../cli/describe-bug.js'

const bug = new TypeError('x is not\na function')

test('a bug is one line that says where to report it', () => {
  expect(describeBug(bug, false, 'https://bugs.example/')).toBe(
    'pbmanifest: error: this is a bug of pbmanifest, please report it at https://bugs.example/: TypeError: x is not a function',
  )
})

test('a package that nobody has published names no address', () => {
  expect(describeBug(bug, false, undefined)).toBe(
    'pbmanifest: error: this is a bug of pbmanifest, please report it to whoever you have it from: TypeError: x is not a function',
  )
})

test('the stack follows when it is asked for', () => {
  expect(describeBug(new TypeError('x'), true, undefined)).toMatch(/\nTypeError: x\n +at /)
})

test('anything can be thrown', () => {
  expect(describeBug(undefined, true, undefined)).toMatch(/: thrown: undefined$/)
})
