import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, type Server, Socket } from 'node:net'
import type { ClientConfig } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Client, Connection, DatabaseError } from '../../../src/transfer/connection/pg.js'
import { untilConnectionEnds } from '../../../src/transfer/connection/scram-key.js'
import { backendMessages } from '../../../src/transfer/wire/protocol/backend-messages.js'
import {
  type FrontendMessage,
  FrontendParser,
} from '../../../src/transfer/wire/protocol/frontend-messages.js'
import type { StartupMessage } from '../../../src/transfer/wire/protocol/startup-packet.js'
import { WireError } from '../../../src/transfer/wire/wire-error.js'
import { poll } from '../../helpers/poll.js'

// What we lean on in `pg`, beyond what its documentation promises: an update of it has to fail here, and not at a user's.

const require = createRequire(import.meta.url)

const settings = {
  ssl: false,
  sslNegotiation: 'postgres',
  keepAlive: false,
  keepAliveInitialDelayMillis: 0,
} as const

test('the version of `pg` is exact, and the one that is tested', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    dependencies: Record<string, string>
  }
  const { version } = require('pg/package.json') as { version: string }
  expect(dependencies['pg']).toBe(version)
})

/** The other side, which says what a test has it say. */
class Peer {
  readonly heard: (StartupMessage | FrontendMessage)[] = []
  readonly #server: Server
  readonly #parser = new FrontendParser()
  #socket: Socket | undefined
  #wake: () => void = () => {}

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => {
      this.#socket = socket.on('error', () => {})
      socket.on('data', (chunk) => {
        this.#parser.push(chunk)
        while (this.#hear());
        this.#wake()
      })
    })
  }

  static async listen(): Promise<Peer> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Peer(server)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** The next message of the client. */
  async hears(): Promise<StartupMessage | FrontendMessage | undefined> {
    while (this.heard.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.heard.shift()
  }

  says(...messages: readonly Uint8Array[]): void {
    this.#socket?.write(Buffer.concat(messages))
  }

  hangUp(): void {
    this.#socket?.destroy()
  }

  close(): void {
    this.hangUp()
    this.#server.close()
  }

  #isStarted = false

  #hear(): boolean {
    const message = this.#isStarted ? this.#parser.takeMessage(10_000) : this.#parser.takeStartup()
    if (message === undefined) return false
    if (message.type === 'startup') this.#isStarted = true
    this.heard.push(message)
    return true
  }
}

let peer: Peer
let client: Client

beforeEach(async () => {
  peer = await Peer.listen()
})

afterEach(() => {
  peer.close()
})

function makeClient(more: ClientConfig & { connection?: unknown; scramMaxIterations?: number } = {}): void {
  const config = { host: '127.0.0.1', port: peer.port, user: 'joe', database: 'db', ssl: false, ...more }
  client = new Client(config)
  client.on('error', () => {})
}

const greeting = [
  backendMessages.authenticationOk(),
  backendMessages.parameterStatus('server_version', '18.0'),
  backendMessages.backendKeyData(42, Buffer.from('abcd')),
  backendMessages.readyForQuery(),
]

async function connected(more: Parameters<typeof makeClient>[0] = {}): Promise<void> {
  makeClient(more)
  const connecting = client.connect()
  expect(await peer.hears()).toMatchObject({ type: 'startup' })
  peer.says(...greeting)
  await connecting
}

describe('a connection', () => {
  test('is that of the configuration, on the socket of its own', async () => {
    const stream = new Socket()
    const connection = new Connection({ ...settings, stream })
    expect(connection.stream).toBe(stream)
    await connected({ connection })
    expect(client.connection).toBe(connection)
    expect(stream.remotePort).toBe(peer.port)
    await client.end()
  })

  test('reads what its stream emits as `data`, message by message and at once, and wants no more of it than `end`', () => {
    const connection = new Connection(settings)
    const stream = new EventEmitter()
    connection.attachListeners(stream)
    expect(new Set(stream.eventNames())).toEqual(new Set(['data', 'end']))
    const events: string[] = []
    for (const event of ['authenticationOk', 'backendKeyData', 'readyForQuery', 'errorMessage']) {
      connection.on(event, () => events.push(event))
    }
    for (const message of greeting) stream.emit('data', message)
    stream.emit('data', backendMessages.errorResponse(new WireError('XX000', 'no')))
    expect(events).toEqual(['authenticationOk', 'backendKeyData', 'readyForQuery', 'errorMessage'])
  })

  test('calls `attachListeners` when messages begin, and may have its own', async () => {
    const inbound = new EventEmitter()
    class Watched extends Connection {
      override attachListeners(stream: Socket): void {
        super.attachListeners(inbound)
        stream.on('data', (bytes: Buffer) => inbound.emit('data', bytes))
      }
    }
    await connected({ connection: new Watched(settings) })
    expect(inbound.listenerCount('data')).toBe(1)
    await client.end()
  })

  test('with TLS listens last, and once, to the answer, and says so when there is no TLS', async () => {
    const connection = new Connection({ ...settings, ssl: {} })
    makeClient({ connection, ssl: {} })
    const connecting = client.connect()
    expect(connection.stream.rawListeners('data')).toHaveLength(1)
    expect(await peer.hears()).toEqual({ type: 'ssl-request' })
    peer.says(Buffer.from('N'))
    await expect(connecting).rejects.toThrow('The server does not support SSL connections')
  })

  test('has keys derived by the function that stands in the place of its own, in as many steps as the server wants', async () => {
    const sasl = require('pg/lib/crypto/sasl') as {
      startSession(mechanisms: string[], stream: unknown, mostIterations: number): { response: string }
      continueSession(session: object, password: string, data: string): Promise<void>
    }
    const session = sasl.startSession(['SCRAM-SHA-256'], false, 0)
    const [, nonce] = /r=(.*)$/.exec(session.response) ?? []
    const data = `r=${nonce}more,s=${Buffer.from('salt').toString('base64')},i=2147483647`
    const derived = new Promise((resolve, reject) => {
      untilConnectionEnds(AbortSignal.abort(), () => {
        sasl.continueSession(session, 'password', data).then(resolve, reject)
      })
    })
    await expect(derived).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('a client', () => {
  test('asks for a password when the server does, and waits for it', async () => {
    let asked = 0
    makeClient({
      password: () => {
        asked++
        throw new Error('there is none')
      },
    })
    const connecting = client.connect()
    await peer.hears()
    expect(asked).toBe(0)
    peer.says(backendMessages.saslMechanisms(['SCRAM-SHA-256']))
    await expect(connecting).rejects.toThrow('there is none')
    expect(asked).toBe(1)
  })

  test('sends settings, and whether it is for replication, in its startup packet', async () => {
    makeClient({ options: '-c a=b', application_name: 'it', replication: 'true' } as ClientConfig)
    void client.connect().catch(() => {})
    expect(await peer.hears()).toMatchObject({
      parameters: new Map([
        ['user', 'joe'],
        ['database', 'db'],
        ['application_name', 'it'],
        ['replication', 'true'],
        ['options', '-c a=b'],
        ['client_encoding', 'UTF8'],
      ]),
    })
  })

  test('hands messages to a query object, and is then ready for another', async () => {
    await connected()
    const calls: string[] = []
    const query = {
      submit: (connection: { query(text: string): void }) => connection.query('COPY'),
      handleRowDescription: () => calls.push('row description'),
      handleDataRow: ({ fields }: { fields: unknown }) => calls.push(`row ${JSON.stringify(fields)}`),
      handleCommandComplete: () => calls.push('complete'),
      handleReadyForQuery: () => calls.push('ready'),
      handleError: (error: Error) => calls.push(`error ${error.message}`),
    }
    client.query(query)
    expect(await peer.hears()).toEqual({ type: 'query', text: Buffer.from('COPY') })
    peer.says(
      backendMessages.rowDescription([{ name: 'a' }]),
      backendMessages.dataRow(['1', null]),
      backendMessages.commandComplete('X'),
      backendMessages.readyForQuery(),
    )
    client.query(query)
    await peer.hears()
    peer.says(backendMessages.errorResponse(new WireError('40001', 'no')), backendMessages.readyForQuery())
    await poll('all calls', async () => calls.length >= 5)
    expect(calls).toEqual(['row description', 'row ["1",null]', 'complete', 'ready', 'error no'])
    await client.end()
  })

  test('tells of an error all that the server said, and of a notice', async () => {
    await connected()
    const notices: unknown[] = []
    client.on('notice', (notice) => notices.push(notice))
    const answer = client.query('SELECT').catch((error: unknown) => error)
    await peer.hears()
    const said = { detail: 'how', hint: 'do' }
    peer.says(
      backendMessages.noticeResponse({ severity: 'WARNING', message: 'look', ...said }),
      backendMessages.errorResponse(new WireError('40001', 'no', said)),
      backendMessages.readyForQuery(),
    )
    expect(await answer).toBeInstanceOf(DatabaseError)
    expect(await answer).toMatchObject({ message: 'no', severity: 'ERROR', code: '40001', ...said })
    expect(notices).toEqual([expect.objectContaining({ message: 'look', code: '01000', hint: 'do' })])
    await client.end()
  })

  test.each([
    ['lost', 'Connection terminated unexpectedly', 1],
    ['ended here', 'Connection terminated', 0],
  ])('that is %s tells its query so, and that it has ended', async (_what, message, errors) => {
    await connected()
    let told = 0
    client.on('error', () => told++)
    const ended = new Promise<void>((resolve) => void client.on('end', resolve))
    const answer = client.query('SELECT').catch((error: Error) => error.message)
    await peer.hears()
    if (errors > 0) peer.hangUp()
    else {
      void client.end()
      client.connection.stream.destroy()
    }
    expect(await answer).toBe(message)
    await ended
    expect(told).toBe(errors)
  })

  test('sends Flush and Terminate', async () => {
    await connected()
    client.connection.flush()
    expect(await peer.hears()).toEqual({ type: 'flush' })
    const ended = client.end()
    expect(await peer.hears()).toEqual({ type: 'terminate' })
    peer.hangUp()
    await ended
  })
})
