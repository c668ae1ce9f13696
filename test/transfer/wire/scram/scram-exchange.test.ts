import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { ScramExchange, type ScramOptions } from '../../../../src/transfer/wire/scram/scram-exchange.js'
import { hmac, type ScramVerifier, sha256 } from '../../../../src/transfer/wire/scram/scram-users.js'
import { makeScramVerifier } from '../../../helpers/scram-verifiers.js'

let verifier: ScramVerifier

beforeAll(async () => {
  verifier = await makeScramVerifier('pencil')
})

function makeOptions(more: Partial<ScramOptions> = {}): ScramOptions {
  return { identity: { verifier, isKnown: true }, boundTo: undefined, isPlusOffered: false, ...more }
}

/** The client's side. */
function converse(
  options: ScramOptions,
  flag: string,
  bound: Buffer = Buffer.alloc(0),
  password = 'pencil',
): string | undefined {
  const exchange = new ScramExchange(options)
  const bare = `n=,r=${randomBytes(18).toString('base64')}`
  const serverFirst = exchange.start(Buffer.from(`${flag},,${bare}`))
  const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]*),s=([^,]*),i=(\d+)$/.exec(serverFirst) ?? []
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256')
  const binding = Buffer.concat([Buffer.from(`${flag},,`), bound]).toString('base64')
  const withoutProof = `c=${binding},r=${nonce}`
  const signed = `${bare},${serverFirst},${withoutProof}`
  const clientKey = hmac(salted, 'Client Key')
  const signature = hmac(sha256(clientKey), signed)
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature.readUInt8(index)))
  const answer = exchange.finish(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`))
  const right = `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`
  return answer === right ? 'both are who they say' : answer
}

const endPoint = Buffer.from('hash of a certificate')
const plus = { boundTo: endPoint, isPlusOffered: true }

test.each<[string, Partial<ScramOptions>, string, Buffer?]>([
  ['no channel binding', {}, 'n'],
  ['none, though it was offered', { isPlusOffered: true }, 'n'],
  ['a client that would, where it was not offered', {}, 'y'],
  ['channel binding', plus, 'p=tls-server-end-point', endPoint],
])('the right password is taken: %s', (_, more, flag, bound) => {
  expect(converse(makeOptions(more), flag, bound)).toBe('both are who they say')
})

test('a wrong password is not taken', () => {
  expect(converse(makeOptions(), 'n', undefined, 'pen')).toBeUndefined()
})

test('of a user that there is not, no password is right', () => {
  expect(converse(makeOptions({ identity: { verifier, isKnown: false } }), 'n')).toBeUndefined()
})

test.each<[string, Partial<ScramOptions>, string, Buffer | undefined, string]>([
  [
    'somebody took the better mechanism away',
    { isPlusOffered: true },
    'y',
    undefined,
    'SCRAM channel binding negotiation error',
  ],
  [
    'the channel ends elsewhere',
    plus,
    'p=tls-server-end-point',
    Buffer.from('hash of another'),
    'SCRAM channel binding check failed',
  ],
  ['the better mechanism without the binding', plus, 'n', undefined, 'malformed SCRAM message'],
  [
    'a binding without the better mechanism',
    {},
    'p=tls-server-end-point',
    endPoint,
    'malformed SCRAM message',
  ],
])('%s: refused', (_, more, flag, bound, message) => {
  expect(() => converse(makeOptions(more), flag, bound)).toThrow(
    expect.objectContaining({ severity: 'FATAL', message }),
  )
})
