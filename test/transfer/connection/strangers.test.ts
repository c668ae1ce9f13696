import { createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connect } from '../../../src/transfer/connection/connect.js'
import { resolve } from './settings/resolve.js'

/** Answers each packet of the client with the next of these. */
async function listen(answers: readonly (Buffer | string)[], greets = false): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    let next = 0
    const answer = (): void => {
      const bytes = answers[next++]
      if (bytes !== undefined) socket.write(bytes)
    }
    if (greets) answer()
    else socket.on('data', answer)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as { port: number }).port
}

function message(type: string, body: Buffer | string = '', length = Buffer.byteLength(body) + 4): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeInt32BE(length, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

function authentication(code: number, more: Buffer | string = ''): Buffer {
  const body = Buffer.alloc(4)
  body.writeInt32BE(code)
  return message('R', Buffer.concat([body, Buffer.from(more)]))
}

const ok = authentication(0)
const ready = Buffer.concat([ok, message('K', Buffer.alloc(8)), message('Z', 'I')])

async function failureOf(port: number, more: string): Promise<unknown> {
  const { options } = resolve({ conninfo: `host=127.0.0.1 port=${port} dbname=x password=y ${more}` })
  return await connect(options).catch((error: unknown) => error)
}

function failed(port: number, words: string): object {
  return {
    code: 'SERVER',
    message: `connection to server at "127.0.0.1", port ${port} failed: ${words}`,
  }
}

describe('no PostgreSQL server', () => {
  test.each([
    ['SSH', 'SSH-2.0-OpenSSH_9.2p1\r\n', 'S'],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', 'H'],
    ['SMTP', '220 mail ESMTP\r\n', '2'],
    ['MySQL', 'J\0\0\0\n8.0.36\0', 'J'],
    ['binary', Buffer.of(7, 0, 0, 0, 0), String.raw`\x07`],
  ])('%s that greets is no server', async (_, greeting, shown) => {
    const plain = await listen([greeting], true)
    expect(await failureOf(plain, 'sslmode=disable')).toMatchObject(
      failed(plain, `expected authentication request from server, but received ${shown}`),
    )
    const port = await listen([greeting])
    expect(await failureOf(port, 'sslmode=prefer')).toMatchObject({
      code: 'SERVER',
      message: expect.stringContaining('failed: received invalid response to SSL negotiation: '),
    })
  })

  test.each([
    [
      'an error before TLS',
      'sslmode=require',
      'Ewhatever',
      'server sent an error response during SSL exchange',
    ],
    [
      'more than the answer to SSLRequest',
      'sslmode=require',
      'SR',
      'received invalid response to SSL negotiation: S',
    ],
    [
      'a key that is too short',
      'sslmode=disable',
      Buffer.concat([ok, message('K', 'xy')]),
      'lost synchronization with server: invalid message',
    ],
    ['a wish for Kerberos', 'sslmode=disable', authentication(2), 'Kerberos 5 authentication not supported'],
    ['a wish for GSSAPI', 'sslmode=disable', authentication(7), 'GSSAPI authentication not supported'],
    ['a wish for SSPI', 'sslmode=disable', authentication(9), 'SSPI authentication not supported'],
    [
      'a wish that nobody knows',
      'sslmode=disable',
      authentication(99),
      'authentication method 99 not supported',
    ],
    [
      'a mechanism that we do not have',
      'sslmode=disable',
      authentication(10, 'OAUTHBEARER\0\0'),
      "none of the server's SASL authentication mechanisms are supported",
    ],
  ])('%s', async (_, more, answer, words) => {
    const port = await listen([answer])
    expect(await failureOf(port, more)).toMatchObject(failed(port, words))
  })

  test('a server that lets us in without its own proof', async () => {
    const port = await listen([authentication(10, 'SCRAM-SHA-256\0\0'), ready])
    expect(await failureOf(port, 'sslmode=disable')).toMatchObject(
      failed(port, 'server did not complete authentication'),
    )
  })
})

test.each([
  ['require_auth=scram-sha-256', 3, 'server requested a cleartext password'],
  ['require_auth=!password', 3, 'server requested a cleartext password'],
  ['require_auth=password', 5, 'server requested a hashed password'],
  ['require_auth=md5,scram-sha-256', 0, 'server did not complete authentication'],
  ['require_auth=!none', 0, 'server did not complete authentication'],
  ['require_auth=md5', 10, 'server requested SASL authentication'],
])('%s refuses what it asks for with %i', async (demand, code, words) => {
  const port = await listen([authentication(code, code === 10 ? 'SCRAM-SHA-256\0\0' : Buffer.alloc(4))])
  const [, value = ''] = demand.split('=')
  expect(await failureOf(port, `sslmode=disable ${demand}`)).toMatchObject(
    failed(port, `authentication method requirement "${value}" failed: ${words}`),
  )
})

test.each([
  [3, "channel binding required but not supported by server's authentication request"],
  [0, 'channel binding required, but server authenticated client without channel binding'],
  [10, 'channel binding required, but SSL not in use'],
])('channel_binding=require refuses what the server asks for with %i', async (code, words) => {
  const port = await listen([authentication(code, 'SCRAM-SHA-256\0\0')])
  expect(await failureOf(port, 'sslmode=disable channel_binding=require')).toMatchObject(failed(port, words))
})

test.each([
  ['require_auth=none', ''],
  ['require_auth=!md5,!password', ''],
  ['require_auth=scram-sha-512', 'invalid require_auth value: "scram-sha-512"'],
  ['require_auth=md5,md5', 'require_auth method "md5" is specified more than once'],
  ['require_auth=md5,!none', 'negative require_auth method "none" cannot be mixed with non-negative methods'],
  ['require_auth=!md5,none', 'require_auth method "none" cannot be mixed with negative methods'],
  ['channel_binding=maybe', 'invalid channel_binding value: "maybe"'],
])('%s', async (demand, refusal) => {
  const port = await listen([ready])
  const connecting = async (): Promise<void> => {
    const { options } = resolve({
      conninfo: `host=127.0.0.1 port=${port} dbname=x sslmode=disable ${demand}`,
    })
    const client = await connect(options)
    client.connection.stream.destroy()
  }
  const outcome = await connecting().catch((error: unknown) => error)
  const refused = { code: 'USAGE', message: refusal }
  expect(outcome ?? refused).toMatchObject(refused)
  expect(outcome === undefined).toBe(refusal === '')
})

test('without TLS on the other side, the first line is what the last attempt met', async () => {
  const fatal = 'password authentication failed for user "x"'
  const server = createServer((socket) => {
    socket.on('error', () => {})
    // SSLRequest is eight bytes long, and no startup packet is.
    socket.on('data', (packet) => {
      if (packet.length === 8) socket.write('N')
      else socket.end(message('E', `SFATAL\0C28P01\0M${fatal}\0\0`))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  expect(await failureOf(port, 'sslmode=prefer')).toMatchObject({
    ...failed(port, `FATAL:  ${fatal}`),
    details: [],
  })
})
