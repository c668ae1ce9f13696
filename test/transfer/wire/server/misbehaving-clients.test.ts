import { createSecureContext } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { ScramUsers } from '../../../../src/transfer/wire/scram/scram-users.js'
import { makeScramVerifier } from '../../../helpers/scram-verifiers.js'
import type { WireAccess } from '../../../../src/transfer/wire/server/authenticate.js'
import { WireError } from '../../../../src/transfer/wire/wire-error.js'
import { poll } from '../../../helpers/poll.js'
import { field, query, RawClient, type RawMessage, sslRequest, startup, typed } from '../raw-client.js'
import { type FixtureOptions, WireFixture } from './wire-fixture.js'

const user = startup({ user: 'joe', replication: '1' })
let fixture: WireFixture | undefined

afterEach(async () => {
  await fixture?.stop()
  fixture = undefined
})

async function start(options: FixtureOptions = {}): Promise<WireFixture> {
  fixture = await WireFixture.start(options)
  return fixture
}

/** A client that has been let in, and may ask. */
async function enter(server: WireFixture): Promise<RawClient> {
  const client = await server.connect()
  await client.send(user).until('Z')
  return client
}

function said(messages: readonly (RawMessage | undefined)[]): string[] {
  return messages.flatMap((message) =>
    message?.type === 'E' ? [`${field(message, 'S') ?? ''} ${field(message, 'C') ?? ''}`] : [],
  )
}

/** That nothing is left of those who came before, and that others can still work. */
async function expectAllWell(server: WireFixture): Promise<void> {
  await server.quiet()
  expect(server.closed).toHaveLength(server.handlers.length)
  const client = await enter(server)
  expect((await client.send(query('tag=1')).until('Z')).map(({ type }) => type)).toEqual(['C', 'Z'])
  await client.send(typed('X')).untilClosed()
  await server.quiet()
  expect(server.closed.at(-1)).toBe('terminated')
}

describe('limits', () => {
  test('a message over the cap ends the connection, before it has come', async () => {
    const server = await start({ limits: { maxMessageBytes: 1000 } })
    const client = await enter(server)
    client.send(query(`nothing tag=1 ${' '.repeat(1000 - 'nothing tag=1 '.length - 1)}`))
    expect((await client.until('Z')).map(({ type }) => type)).toEqual(['C', 'Z'])
    const messages = await client.send(typed('Q', 'x'.repeat(1001)).subarray(0, 5)).untilClosed()
    expect(said(messages)).toEqual(['FATAL 08P01'])
    expect(field(messages[0], 'D')).toBe('The message has 1001 bytes; 1000 are allowed.')
    await expectAllWell(server)
    expect(server.closed).toEqual(['lost', 'terminated'])
  })

  test('a long message is taken when it is allowed', async () => {
    const server = await start({ limits: { maxMessageBytes: 8 << 20 } })
    const client = await enter(server)
    const text = `tag=1${' '.repeat(7 << 20)}`
    expect((await client.send(query(text)).until('Z')).map(({ type }) => type)).toEqual(['C', 'Z'])
    expect(server.handlers[0]?.queries[0]?.length).toBe(text.length)
    client.socket.destroy()
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['the beginning of a startup packet', user.subarray(0, 9)],
    ['no answer to a challenge', user],
  ])('who says %s is sent away after a while', async (_, bytes) => {
    const users = new ScramUsers(new Map([['joe', await makeScramVerifier('x')]]))
    const server = await start({
      limits: { authenticationTimeoutMs: 150 },
      access: { authentication: { method: 'scram-sha-256', users } },
    })
    const client = await server.connect()
    expect(said(await client.send(bytes).untilClosed())).toEqual(['FATAL 57014'])
    await server.quiet()
  })

  test('who dribbles is sent away too', async () => {
    const server = await start({ limits: { authenticationTimeoutMs: 150 } })
    const client = await server.connect()
    const dribble = setInterval(() => client.send(Buffer.of(0)), 20)
    // Four zeros would be a length, and a wrong one.
    client.send(Buffer.of(0, 0, 0x20, 0))
    expect(said(await client.untilClosed())).toEqual(['FATAL 57014'])
    clearInterval(dribble)
    await expectAllWell(server)
  })

  test('who does not finish the handshake of TLS is sent away', async () => {
    const access: WireAccess = {
      authentication: { method: 'trust' },
      tls: { context: createSecureContext(), isRequired: true },
    }
    const server = await start({ limits: { authenticationTimeoutMs: 1000 }, access })
    const client = await server.connect()
    expect(await client.send(sslRequest).byte()).toBe('S')
    await client.untilClosed()
    await server.quiet()
    expect(server.events).toMatchObject([
      { type: 'connected' },
      { type: 'refused', error: { sqlstate: '57014' } },
    ])
  })

  test('who is idle for too long is sent away, unless the handler needs him', async () => {
    const server = await start({ limits: { idleTimeoutMs: 100 }, mayIdle: (client) => client === 2 })
    const [idle, needed] = [await enter(server), await enter(server)]
    expect(said(await idle.untilClosed())).toEqual(['FATAL 57P05'])
    // Who comes now is sent away when the other has been idle for longer than is allowed.
    expect(said(await (await enter(server)).untilClosed())).toEqual(['FATAL 57P05'])
    expect((await needed.send(query('tag=1')).until('Z')).map(({ type }) => type)).toEqual(['C', 'Z'])
    needed.socket.destroy()
    await server.quiet()
    expect(server.closed).toEqual(['lost', 'lost', 'lost'])
  })

  test('who waits for an answer hears that we are at work', async () => {
    const server = await start({ limits: { heartbeatMs: 20 } })
    const client = await enter(server)
    client.send(query('wait'))
    for (let beats = 0; beats < 3; beats++)
      expect((await client.until('S')).map(({ type }) => type)).toEqual(['S'])
    // Not when there is nothing to wait for.
    client.socket.destroy()
    const other = await enter(server)
    expect((await other.send(query('tag=1')).until('Z')).map(({ type }) => type)).toEqual(['C', 'Z'])
    other.socket.destroy()
    await server.quiet()
  })

  test('who does not read what he asked for is cut off', async () => {
    const server = await start({ limits: { stallTimeoutMs: 150 } })
    const client = await enter(server)
    client.socket.pause()
    client.send(query('endless'))
    await server.quiet()
    expect(server.closed).toEqual(['lost'])
    expect(server.errors()).toEqual(['terminating connection because the client does not read'])
    client.socket.destroy()
    await expectAllWell(server)
  })

  test('who asks and asks without reading is not read from', async () => {
    const server = await start()
    const client = await enter(server)
    client.socket.pause()
    const bytes = 8 << 20
    client.send(Buffer.alloc(bytes, typed('S')))
    const [socket] = server.sockets
    await poll('the server to stop reading', async () => socket?.isPaused())
    expect(socket?.bytesRead).toBeLessThan(bytes / 2)
    client.socket.destroy()
    await expectAllWell(server)
  })

  test('more clients than allowed, and other places for those of another listener', async () => {
    const server = await start({ places: { maxConnections: 2 } })
    const clients = [await enter(server), await enter(server)]
    const third = await server.connect()
    expect(said(await third.send(user).untilClosed())).toEqual(['FATAL 53300'])
    const other = await RawClient.connect({ host: '127.0.0.1', port: server.port })
    expect((await other.send(user).until('Z')).at(-1)?.type).toBe('Z')
    for (const { socket } of [...clients, other]) socket.destroy()
    await expectAllWell(server)
  })

  test('of those who say nothing the oldest goes, so they lock nobody out', async () => {
    const server = await start({ places: { maxUnauthenticated: 3 } })
    const inside = await enter(server)
    const strangers: RawClient[] = []
    for (let count = 1; count <= 10; count++) {
      strangers.push(await server.connect())
      await poll('it to be seen', async () =>
        Promise.resolve(server.events.length === 2 + count + Math.max(0, count - 3)),
      )
    }
    for (const gone of strangers.slice(0, 7)) expect(said(await gone.untilClosed())).toEqual(['FATAL 53300'])
    const client = await enter(server)
    expect(said(await strangers[7]!.untilClosed())).toEqual(['FATAL 53300'])
    for (const here of [client, inside]) {
      expect((await here.send(query('tag=1')).until('Z')).map(({ type }) => type)).toEqual(['C', 'Z'])
    }
    for (const { socket } of [...strangers, client, inside]) socket.destroy()
    await expectAllWell(server)
  })

  test('who is turned away for others has his descriptor back at once, though he reads nothing', async () => {
    const server = await start({ places: { maxUnauthenticated: 1 } })
    const silent = Array.from({ length: 200 }, () => server.connect())
    for (const { socket } of await Promise.all(silent)) socket.pause()
    await poll('one to be left', async () => Promise.resolve(server.events.length === 399))
    await poll('the sockets to be closed', async () => Promise.resolve(server.sockets.length === 1))
    for (const client of silent) (await client).socket.destroy()
    await expectAllWell(server)
    expect(new Set(server.errors())).toEqual(
      new Set(['too many connections that are not authenticated', 'connection to client lost']),
    )
  })
})

describe('a client that goes away', () => {
  test('with much to say after an error that ends it is read to its end, so that it sees the error', async () => {
    const server = await start({ limits: { maxMessageBytes: 8 << 20 } })
    const client = await enter(server)
    const bytes = [query('wait'), Buffer.alloc(4 << 20, typed('S'))]
    const [socket] = server.sockets
    const before = socket?.bytesRead ?? 0
    client.send(...bytes)
    await server.running()
    server.handlers[0]?.session.end(new WireError('57P01', 'that was it'))
    expect(said(await client.untilClosed())).toEqual(['FATAL 57P01'])
    await server.quiet()
    expect((socket?.bytesRead ?? 0) - before).toBe(Buffer.concat(bytes).length)
  })

  test('behind much that nobody has asked for yet ends its query', async () => {
    const server = await start()
    const client = await enter(server)
    client.send(query('wait'), Buffer.alloc(1 << 20, typed('S'))).socket.end()
    await server.quiet()
    expect(server.closed).toEqual(['lost'])
  })

  test('cannot hide that behind more than the next query may be long', async () => {
    const server = await start()
    const client = await enter(server)
    const messages = client.send(query('wait'), Buffer.alloc(4 << 20, typed('S'))).untilClosed()
    expect(said(await messages)).toEqual(['FATAL 08P01'])
    await expectAllWell(server)
  })

  test.each(['wait', 'endless', 'rows=1000000'])('while "%s" runs ends it', async (text) => {
    const server = await start()
    const client = await enter(server)
    client.send(query(text))
    await server.running()
    client.socket.destroy()
    await expectAllWell(server)
    expect(server.closed).toEqual(['lost', 'terminated'])
  })

  test('while it is being let in leaves nothing behind', async () => {
    const server = await start()
    for (const end of [0, 3, 8, user.length]) {
      const client = await server.connect()
      client.send(user.subarray(0, end)).socket.destroy()
    }
    await server.quiet()
    expect(server.closed).toHaveLength(server.handlers.length)
    await expectAllWell(server)
  })

  test('with its last word is one that has terminated', async () => {
    const server = await start()
    const client = await enter(server)
    client.send(typed('X')).socket.end()
    await server.quiet()
    expect(server.closed).toEqual(['terminated'])
  })

  test('with more to say, but not the last word, is lost when its query has failed for it', async () => {
    const server = await start()
    const client = await enter(server)
    client.send(query('wait')).socket.end()
    await server.quiet()
    expect(server.closed).toEqual(['lost'])
  })
})

describe('the end from our side', () => {
  const because = new WireError('57P01', 'the standby was promoted', { detail: 'D.', hint: 'H.' })

  test('of an idle connection', async () => {
    const server = await start()
    const client = await enter(server)
    server.handlers[0]?.session.end(because)
    const messages = await client.untilClosed()
    expect(said(messages)).toEqual(['FATAL 57P01'])
    expect(['M', 'D', 'H'].map((letter) => field(messages[0], letter))).toEqual([
      'the standby was promoted',
      'D.',
      'H.',
    ])
    await expectAllWell(server)
  })

  test('of a running query: the error comes in place of the rest', async () => {
    const server = await start()
    const client = await enter(server)
    client.send(query('tag=1 wait'))
    await server.running()
    server.handlers[0]?.session.end(because)
    const messages = await client.untilClosed()
    expect(messages.map(({ type }) => type)).toEqual(['C', 'E'])
    expect(said(messages)).toEqual(['FATAL 57P01'])
    await expectAllWell(server)
  })

  test('of a COPY that nobody reads', async () => {
    const server = await start()
    const client = await enter(server)
    client.socket.pause()
    client.send(query('endless'))
    await server.running()
    server.handlers[0]?.session.end(because)
    await expectAllWell(server)
    expect(server.closed).toEqual(['lost', 'terminated'])
    client.socket.destroy()
  })

  test('of all connections, and nobody comes in any more', async () => {
    const server = await start()
    const [idle, busy, stranger] = [await enter(server), await enter(server), await server.connect()]
    busy.send(query('wait'))
    await server.running()
    await poll('the third to be seen', async () => Promise.resolve(server.server.connections === 3))
    const closing = server.server.close()
    for (const client of [idle, busy, stranger]) {
      expect(said(await client.untilClosed())).toEqual(['FATAL 57P01'])
    }
    await closing
    expect(server.closed).toEqual(['lost', 'lost'])
    const late = await server.connect()
    expect(said(await late.untilClosed())).toEqual(['FATAL 57P01'])
  })
})

describe('a handler that fails', () => {
  test('to come about, with an error for the client', async () => {
    const server = await start({
      makeHandler: () => Promise.reject(new WireError('57P03', 'not now', { hint: 'Later.' })),
    })
    const client = await server.connect()
    const messages = await client.send(user).untilClosed()
    expect(messages.map(({ type }) => type)).toEqual(['R', 'E'])
    expect(said(messages)).toEqual(['FATAL 57P03'])
    await server.quiet()
  })

  test('to come about, by a fault of ours', async () => {
    const server = await start({ makeHandler: () => Promise.reject(new Error('a secret')) })
    const client = await server.connect()
    expect(said(await client.send(user).untilClosed())).toEqual(['FATAL XX000'])
    expect(server.errors()).toContain('a secret')
    await server.quiet()
  })
})

test('queries that are sent at once are answered one after the other, in their order', async () => {
  const server = await start()
  const client = await enter(server)
  const answers = client.send(query('tag=1'), query('bug'), query('tag=2'), typed('X')).untilClosed()
  expect((await answers).map(({ type }) => type).join('')).toBe('CZEZCZ')
  await server.quiet()
  expect(server.closed).toEqual(['terminated'])
})
