import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type FrontendMessage,
  frontendMessages,
  FrontendParser,
} from '../../../../src/transfer/wire/protocol/frontend-messages.js'
import {
  formatCancelRequest,
  type StartupMessage,
} from '../../../../src/transfer/wire/protocol/startup-packet.js'
import { WireError } from '../../../../src/transfer/wire/wire-error.js'
import { gssencRequest, PROTOCOL_3, query, sslRequest, startup, typed, untyped } from '../raw-client.js'

const MAX_BYTES = 1000

type Parsed = StartupMessage | FrontendMessage | { readonly severity: string; readonly message: string }

const parameters = { user: 'joe', application_name: 'Zoë', replication: '1' }

const stream = Buffer.concat([
  gssencRequest,
  sslRequest,
  startup(parameters),
  typed('p', 'SCRAM-SHA-256\0\0\0\0\x01n'),
  query('START_BACKUP'),
  typed('Q', Buffer.from([0x27, 0xff, 0xfe, 0x27, 0])),
  typed('Q', 'two\0strings\0'),
  typed('P', '\0SELECT 1\0\0\0'),
  typed('B'),
  typed('D'),
  typed('E'),
  typed('C'),
  typed('H'),
  typed('S'),
  typed('F', 'fn'),
  typed('d', 'data'),
  typed('c'),
  typed('f', 'why\0'),
  query(''),
  typed('X'),
])

const extendedQuery = { type: 'extended-query' }
const copy = [
  { type: 'copy', part: 'data', bytes: Buffer.from('data') },
  { type: 'copy', part: 'done', bytes: Buffer.alloc(0) },
  { type: 'copy', part: 'fail', bytes: Buffer.from('why\0') },
]

const messages = [
  { type: 'gssenc-request' },
  { type: 'ssl-request' },
  { type: 'startup', minorVersion: 0, parameters: new Map(Object.entries(parameters)) },
  { type: 'authentication', payload: Buffer.from('SCRAM-SHA-256\0\0\0\0\x01n') },
  { type: 'query', text: Buffer.from('START_BACKUP') },
  { type: 'query', text: Buffer.from([0x27, 0xff, 0xfe, 0x27]) },
  { severity: 'ERROR', message: 'invalid message format' },
  ...Array.from({ length: 5 }, () => extendedQuery),
  { type: 'flush' },
  { type: 'sync' },
  { type: 'function-call' },
  ...copy,
  { type: 'query', text: Buffer.alloc(0) },
  { type: 'terminate' },
]

/** Reads as a connection does: typed messages begin after the startup packet; after `FATAL` nothing is read. */
class Reader {
  readonly parsed: Parsed[] = []
  readonly parser = new FrontendParser()
  #hasStarted: boolean
  #isOver = false

  constructor(hasStarted: boolean) {
    this.#hasStarted = hasStarted
  }

  push(chunk: Buffer): this {
    if (this.#isOver) return this
    this.parser.push(chunk)
    while (this.#take());
    return this
  }

  #take(): boolean {
    try {
      const message = this.#hasStarted ? this.parser.takeMessage(MAX_BYTES) : this.parser.takeStartup()
      if (message === undefined) return false
      if (message.type === 'startup') this.#hasStarted = true
      this.parsed.push(message)
      return true
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.parsed.push({ severity: error.severity, message: error.message })
      this.#isOver = error.severity === 'FATAL'
      return !this.#isOver
    }
  }
}

function parse(bytes: Buffer, { hasStarted = false } = {}): readonly Parsed[] {
  return new Reader(hasStarted).push(bytes).parsed
}

describe('every cut of the stream gives the same messages', () => {
  test('no cut', () => {
    expect(parse(stream)).toEqual(messages)
  })

  test('a cut at every byte', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const reader = new Reader(false).push(stream.subarray(0, cut)).push(stream.subarray(cut))
      expect(reader.parsed).toEqual(messages)
      expect(reader.parser.pendingBytes).toBe(0)
    }
  })

  test('byte for byte', () => {
    const reader = new Reader(false)
    for (const byte of stream) reader.push(Buffer.of(byte))
    expect(reader.parsed).toEqual(messages)
  })

  test('any bytes, any cuts', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      // Damaged messages go further than any bytes.
      fc.tuple(fc.nat(stream.length - 1), fc.nat(255), fc.nat(stream.length)).map(([at, byte, end]) =>
        Buffer.from(stream)
          .fill(byte, at, at + 1)
          .subarray(0, end),
      ),
    )
    fc.assert(
      fc.property(
        bytes,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        fc.boolean(),
        (bytes, sizes, hasStarted) => {
          const whole = Buffer.from(bytes)
          const reader = new Reader(hasStarted)
          for (let at = 0, index = 0; at < whole.length; index++) {
            const end = at + (sizes[index % sizes.length] ?? 1)
            reader.push(whole.subarray(at, end))
            at = end
          }
          expect(reader.parsed).toEqual(parse(whole, { hasStarted }))
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('messages keep their bytes', () => {
  test('when the memory they came in is used again', () => {
    const chunk = query('first')
    const reader = new Reader(true).push(chunk)
    chunk.fill(0)
    reader.push(query('second'))
    expect(reader.parsed).toEqual([
      { type: 'query', text: Buffer.from('first') },
      { type: 'query', text: Buffer.from('second') },
    ])
  })

  test('when they are as long as they may be, many times over', () => {
    const long = query('x'.repeat(MAX_BYTES - 1))
    const reader = new Reader(true)
    for (let n = 0; n < 100; n++) reader.push(long.subarray(0, 700)).push(long.subarray(700))
    expect(reader.parsed).toEqual(
      Array.from({ length: 100 }, () => ({ type: 'query', text: Buffer.alloc(MAX_BYTES - 1, 'x') })),
    )
  })
})

test.each<[string, Buffer, boolean, string]>([
  ['a startup packet without a version', Buffer.of(0, 0, 0, 7), false, 'invalid length of startup packet'],
  ['a negative length', Buffer.of(255, 255, 255, 255), false, 'invalid length of startup packet'],
  [
    'a startup packet that is too long',
    Buffer.of(0, 0, 0x27, 0x11),
    false,
    'invalid length of startup packet',
  ],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), false, 'invalid length of startup packet'],
  ['a TLS handshake at once', Buffer.from('16030100c8', 'hex'), false, 'invalid length of startup packet'],
  ['a cancel request that is cut', untyped(80877102, 'abc'), false, 'invalid length of startup packet'],
  [
    'a cancel request of protocol 3.2',
    untyped(80877102, 'x'.repeat(36)),
    false,
    'invalid length of startup packet',
  ],
  ['protocol 2', untyped(2 << 16), false, 'unsupported frontend protocol 2.0: server supports 3.0 to 3.0'],
  [
    'no parameters',
    untyped(PROTOCOL_3),
    false,
    'invalid startup packet layout: expected terminator as last byte',
  ],
  [
    'a name without a value',
    untyped(PROTOCOL_3, 'user\0'),
    false,
    'invalid startup packet layout: expected terminator as last byte',
  ],
  [
    'a name that is not UTF-8',
    untyped(PROTOCOL_3, Buffer.from('757365720000ff0000', 'hex')),
    false,
    'invalid byte sequence for encoding "UTF8" in startup packet',
  ],
  [
    'a user that is not UTF-8',
    untyped(PROTOCOL_3, Buffer.from('7573657200ff0000', 'hex')),
    false,
    'invalid byte sequence for encoding "UTF8" in startup packet',
  ],
  ['an unknown type', Buffer.from('z'), true, 'invalid frontend message type 122'],
  ['a name that objects have', Buffer.from('__proto__'), true, 'invalid frontend message type 95'],
  ['a length below its own', Buffer.from('5100000003', 'hex'), true, 'invalid message length'],
  ['a negative length of a message', Buffer.from('51ffffffff', 'hex'), true, 'invalid message length'],
  ['one byte more than allowed', Buffer.from('51000003ed', 'hex'), true, 'invalid message length'],
])('%s is refused as soon as it is seen', (_, bytes, hasStarted, message) => {
  expect(parse(bytes, { hasStarted })).toEqual([{ severity: 'FATAL', message }])
})

test('a packet of the greatest length is taken', () => {
  const packet = startup({ user: 'x'.repeat(10_000 - 15) })
  expect(packet.length).toBe(10_000)
  expect(parse(packet)).toMatchObject([{ type: 'startup' }])
})

test('a cancel request', () => {
  const [request] = parse(untyped(80877102, Buffer.from('0000002affff0001', 'hex')))
  expect(request).toEqual({ type: 'cancel-request', pid: 42, secret: Buffer.from('ffff0001', 'hex') })
})

describe('what we send as a client is read as what it was', () => {
  test('a query', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 100 }).filter((text) => !text.includes('\0'))
    fc.assert(
      fc.property(text, (text) => {
        const read = parse(frontendMessages.query(text), { hasStarted: true })
        expect(read).toEqual([{ type: 'query', text: Buffer.from(text) }])
      }),
    )
  })

  test('the data of a COPY and its end', () => {
    const sent = [frontendMessages.copyData(Buffer.from('data')), frontendMessages.copyDone()]
    expect(parse(Buffer.concat(sent), { hasStarted: true })).toEqual(copy.slice(0, 2))
  })

  test('a cancel request', () => {
    const pids = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
    fc.assert(
      fc.property(pids, fc.uint8Array({ minLength: 4, maxLength: 4 }), (pid, bytes) => {
        const secret = Buffer.from(bytes)
        expect(parse(formatCancelRequest({ pid, secret }))).toEqual([{ type: 'cancel-request', pid, secret }])
      }),
    )
  })
})
