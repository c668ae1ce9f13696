import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readTlsFiles } from '../../../../src/transfer/agent/listen/read-tls-files.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { makeCertificate } from '../make-certificate.js'

const scratch = createScratchDirectory()
const first = await makeCertificate(scratch.path, 'first')
const second = await makeCertificate(scratch.path, 'second')

afterAll(() => scratch.remove())

test('a certificate and its key are read', () => {
  expect(readTlsFiles(first.cert, first.key)).toHaveProperty('context')
})

test.each([
  ['the key of another one', first.cert, second.key],
  ['a key in its place', first.key, first.key],
  ['a certificate for a key', first.cert, first.cert],
])('a certificate with %s is refused', (_, cert, key) => {
  chmodSync(key, 0o600)
  expect(() => readTlsFiles(cert, key)).toThrow(
    expect.objectContaining({
      code: 'USAGE',
      message: expect.stringMatching(/^could not use certificate ".*" with private key ".*": /),
    }),
  )
})

test('a key that others can read is refused', () => {
  chmodSync(second.key, 0o644)
  expect(() => readTlsFiles(second.cert, second.key)).toThrow(
    `file "${second.key}" has group or world access`,
  )
})

test('a file that is not there is refused', () => {
  expect(() => readTlsFiles(join(scratch.path, 'missing'), first.key)).toThrow(/: No such file or directory$/)
})
