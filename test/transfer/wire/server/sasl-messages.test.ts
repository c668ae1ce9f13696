import { afterAll, beforeAll, expect, test } from 'vitest'
import { ScramUsers } from '../../../../src/transfer/wire/scram/scram-users.js'
import { makeScramVerifier } from '../../../helpers/scram-verifiers.js'
import { field, RawClient, startup, typed } from '../raw-client.js'
import { WireFixture } from './wire-fixture.js'

let fixture: WireFixture

beforeAll(async () => {
  const users = new ScramUsers(new Map([['joe', await makeScramVerifier('se cret')]]))
  fixture = await WireFixture.start({ access: { authentication: { method: 'scram-sha-256', users } } })
})

afterAll(() => fixture.stop())

const first = 'n,,n=,r=abc'

function initial(data: string, mechanism = 'SCRAM-SHA-256', length = data.length): Buffer {
  const lengthBytes = Buffer.alloc(4)
  lengthBytes.writeInt32BE(length)
  return typed('p', Buffer.concat([Buffer.from(`${mechanism}\0`), lengthBytes, Buffer.from(data)]))
}

async function begin(user: string): Promise<RawClient> {
  const client = await RawClient.connect({ host: '127.0.0.1', port: fixture.port })
  client.send(startup({ user }))
  const offer = await client.message()
  expect(offer?.payload.toString('latin1', 4)).toBe('SCRAM-SHA-256\0\0')
  return client
}

test.each<[string, Buffer, string]>([
  ['another mechanism', initial(first, 'PLAIN'), 'client selected an invalid SASL authentication mechanism'],
  [
    'a mechanism that was not offered',
    initial(first, 'SCRAM-SHA-256-PLUS'),
    'client selected an invalid SASL authentication mechanism',
  ],
  ['a password', typed('p', 'se cret\0'), 'invalid SASL response'],
  ['no end of the mechanism', typed('p', 'SCRAM'), 'invalid SASL response'],
  ['no data', initial('', 'SCRAM-SHA-256', -1), 'invalid SASL response'],
  ['a length beyond the message', initial(first, 'SCRAM-SHA-256', 1000), 'invalid SASL response'],
  ['a length below the message', initial(first, 'SCRAM-SHA-256', 3), 'invalid SASL response'],
  ['no SCRAM', initial('hello'), 'malformed SCRAM message'],
  ['an identity to act for', initial('n,a=boss,n=,r=abc'), 'malformed SCRAM message'],
  ['an extension that has to be understood', initial('n,,m=x,n=,r=abc'), 'malformed SCRAM message'],
  [
    'channel binding without the mechanism',
    initial('p=tls-server-end-point,,n=,r=abc'),
    'malformed SCRAM message',
  ],
  ['another channel binding', initial('p=tls-unique,,n=,r=abc'), 'malformed SCRAM message'],
  ['a query', typed('Q', 'x\0'), 'expected SASL response, got message type "query"'],
  ['a message that is too long', initial(`${first}${'x'.repeat(1024)}`), 'invalid message length'],
])('%s in its beginning is refused', async (_, bytes, message) => {
  const client = await begin('joe')
  const [refusal] = await client.send(bytes).untilClosed()
  expect(field(refusal, 'M')).toBe(message)
  expect(field(refusal, 'S')).toBe('FATAL')
})

test.each<[string, (nonce: string) => string, string]>([
  ['another nonce', () => `c=biws,r=abc,p=${Buffer.alloc(32).toString('base64')}`, 'invalid SCRAM response'],
  [
    'another channel binding',
    (nonce) => `c=eSws,r=${nonce},p=${Buffer.alloc(32).toString('base64')}`,
    'SCRAM channel binding check failed',
  ],
  ['a proof that is too short', (nonce) => `c=biws,r=${nonce},p=AAAA`, 'malformed SCRAM message'],
  ['no proof', (nonce) => `c=biws,r=${nonce}`, 'malformed SCRAM message'],
  [
    'a wrong proof',
    (nonce) => `c=biws,r=${nonce},p=${Buffer.alloc(32).toString('base64')}`,
    'password authentication failed for user "joe"',
  ],
])('%s in its end is refused', async (_, final, message) => {
  const client = await begin('joe')
  const challenge = await client.send(initial(first)).message()
  const nonce = /r=([^,]*)/.exec(challenge?.payload.toString('latin1') ?? '')?.[1] ?? ''
  expect(nonce.startsWith('abc')).toBe(true)
  const [refusal] = await client.send(typed('p', final(nonce))).untilClosed()
  expect(field(refusal, 'M')).toBe(message)
})

/** Salt and iterations, as the server names them to this user. */
async function challenge(user: string): Promise<string> {
  const client = await begin(user)
  const message = await client.send(initial(first)).message()
  client.socket.destroy()
  return message?.payload.toString('latin1', 4).replace(/^r=[^,]*,/, '') ?? ''
}

test('an unknown user has the same salt each time, like that of a known one', async () => {
  const [joe, jim, jimAgain, jane] = [
    await challenge('joe'),
    await challenge('jim'),
    await challenge('jim'),
    await challenge('jane'),
  ]
  const shape = /^s=[A-Za-z0-9+/]{22}==,i=4096$/
  expect([joe, jim, jane]).toEqual([
    expect.stringMatching(shape),
    expect.stringMatching(shape),
    expect.stringMatching(shape),
  ])
  expect(jimAgain).toBe(jim)
  expect(new Set([joe, jim, jane]).size).toBe(3)
})
