import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPbManifestError } from '../../../../src/errors.js'
import { parseScramVerifier } from '../../../../src/transfer/wire/scram/scram-users.js'
import { formatScramVerifier, makeScramVerifier } from '../../../helpers/scram-verifiers.js'

// What PostgreSQL 15 made of `CREATE ROLE ... PASSWORD`.
const real = [
  [
    'se cret',
    'SCRAM-SHA-256$4096:QQSCms8ezNLN4tSbxLap/Q==$W/X30gaX+ac5EFDAlcIRgOHaF5nfhfAaHSMTZRy6hfY=:HZ0rMiI/FEVHAbn/hUgcyaykqA+WDtnvmxZszlVsnSU=',
  ],
  [
    'f1\u00adx\u00a0y\ufb01e\u0301\u212b',
    'SCRAM-SHA-256$4096:Glnirsdle6B2u5H7vHYg6g==$7g/8UmUYHj+K9fTJZLwdgFgr9YcSChw7oUL57PgWaX4=:OvrPNtgprInrInypaoPEwLdm2wQ8oIjP498B2vwytK0=',
  ],
  [
    'über',
    'SCRAM-SHA-256$4096:MdPwUD26Cg8P/MPOHAXaZg==$diCqbbgJ/DFVtgmW4kBoXUhXuGqwsMr9F57QW5kihK4=:r9IT59/0NdI+lZie814Cdn8xYquodksczkGCfhx+yxU=',
  ],
] as const

const [[, sound]] = real

describe('verifiers of a real server', () => {
  test.each(real)('%j', async (password, text) => {
    const { salt, iterations } = parseScramVerifier(text)
    expect(formatScramVerifier(await makeScramVerifier(password, salt, iterations))).toBe(text)
  })
})

test('two verifiers of one password have different salts', async () => {
  const [one, other] = await Promise.all([makeScramVerifier('x'), makeScramVerifier('x')])
  expect(one.salt).not.toEqual(other.salt)
  expect(parseScramVerifier(formatScramVerifier(one))).toEqual(one)
})

test.each([
  ['nothing', ''],
  ['a password', 'se cret'],
  ['MD5', 'md5a3b9c7f1d1e1a1b1c1d1e1f1a2b3c4d5'],
  ['no iterations', sound.replace('4096', '0')],
  ['too many iterations', sound.replace('4096', '2147483648')],
  ['a salt that is not base64', sound.replace('QQSC', 'QQ!C')],
  ['a salt of a base64 that nobody writes', sound.replace('/Q==', '/R==')],
  ['a key that is too short', sound.replace('W/X30gaX', 'W/X3')],
  ['no server key', sound.replace(/:HZ0.*$/, ':')],
  ['something after it', `${sound}\n`],
])('%s is no verifier', (_, text) => {
  const parse = (): unknown => parseScramVerifier(text)
  expect(parse).toThrow(expect.objectContaining({ code: 'USAGE', message: 'not a SCRAM-SHA-256 verifier' }))
})

test('no text makes the parser fail otherwise, and what it takes it gives back', () => {
  const damaged = fc
    .tuple(fc.nat(sound.length - 1), fc.string({ maxLength: 2 }))
    .map(([at, text]) => sound.slice(0, at) + text + sound.slice(at + 1))
  fc.assert(
    fc.property(fc.oneof(fc.string(), damaged), (text) => {
      const parsed = attempt(text)
      expect(parsed === undefined || formatScramVerifier(parsed) === text).toBe(true)
    }),
  )
})

/** `undefined`: it was refused as it should be. Any other error fails the test. */
function attempt(text: string): ReturnType<typeof parseScramVerifier> | undefined {
  try {
    return parseScramVerifier(text)
  } catch (error) {
    if (isPbManifestError(error) && error.code === 'USAGE') return undefined
    throw error
  }
}
