import { expect, test } from 'vitest'
import { isPbManifestError, PbManifestError } from '../../../src/errors.js'
import { fromErrorData, toErrorData } from '../../../src/transfer/client/worker-messages.js'

test('an error crosses threads without loss', () => {
  const error = new PbManifestError('SERVER', 'could not do it', {
    details: ['one', 'two'],
    hint: 'Try again.',
    cause: new Error('why'),
  })
  const crossed = fromErrorData(structuredClone(toErrorData(error)))
  expect(isPbManifestError(crossed)).toBe(true)
  const { code, message, details, hint } = error
  expect(crossed).toMatchObject({ code, message, details, hint, cause: error.stack })
})

test.each([new TypeError('x is not a function'), 'a thrown string'])('a bug stays a bug: %s', (thrown) => {
  const crossed = fromErrorData(structuredClone(toErrorData(thrown)))
  expect(isPbManifestError(crossed)).toBe(false)
  expect(crossed.message).toMatch(/^in a worker thread: (?:x is not a function|a thrown string)$/)
})
