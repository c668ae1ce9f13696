import { describe, expect, test } from 'vitest'
import { type MessageConsumer, ServerMessages } from '../../../src/transfer/connection/server-messages.js'
import { formatMessage } from '../../../src/transfer/wire/protocol/message-framing.js'
import { copyBoth, copyDone, message, ready, row, wal } from '../client/wal-receiver/scripted-server.js'

const letIn = message('R', Buffer.alloc(4))
const error = message('E', 'SFATAL\0C57P01\0Mwhy\0\0')
const parameter = message('S', 'a\0b\0')
const key = message('K', Buffer.alloc(8))

const conversation = [
  letIn,
  parameter,
  key,
  ready,
  row('1', 'two'),
  ready,
  error,
  ready,
  copyBoth,
  wal(1n, Buffer.alloc(10)),
  copyDone,
  message('C', 'X\0'),
  ready,
]

function pushAll(...chunks: readonly Buffer[]): Buffer[] {
  const messages: Buffer[] = []
  const parser = new ServerMessages((_, { type, content }) => messages.push(formatMessage(type, content)))
  for (const chunk of chunks) parser.push(chunk)
  return messages
}

test('what a server says comes out as it went in, wherever it is cut', () => {
  const bytes = Buffer.concat(conversation)
  for (let cut = 0; cut <= bytes.length; cut++) {
    const messages = pushAll(bytes.subarray(0, cut), bytes.subarray(cut))
    expect(Buffer.concat(messages)).toEqual(bytes)
    expect(messages).toHaveLength(15)
  }
})

describe('refused is', () => {
  test.each([
    [
      'an SSH server',
      [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
      'expected authentication request from server, but received S',
    ],
    [
      'a web server',
      [Buffer.from('HTTP/1.1 400 Bad Request\r\n')],
      'expected authentication request from server, but received H',
    ],
    [
      'noise',
      [Buffer.of(0, 1, 2, 3, 4)],
      String.raw`expected authentication request from server, but received \x00`,
    ],
    [
      'a row before it has let us in',
      [row('1')],
      'expected authentication request from server, but received T',
    ],
    [
      'a message that there is not',
      [letIn, message('q')],
      'lost synchronization with server: invalid message',
    ],
    [
      'a length below its own',
      [letIn, Buffer.from('5a00000003', 'hex')],
      'lost synchronization with server: invalid message',
    ],
    [
      'a negative length',
      [letIn, Buffer.from('44ffffffff', 'hex')],
      'lost synchronization with server: more came than an answer can have',
    ],
    [
      'a message of gigabytes',
      [letIn, Buffer.from('647fffffff', 'hex')],
      'lost synchronization with server: more came than an answer can have',
    ],
    [
      'an error without an end',
      [letIn, message('E', 'SFATAL\0Mwhy')],
      'lost synchronization with server: invalid message',
    ],
    [
      'a row that is shorter than its values',
      [letIn, message('D', Buffer.from('0001000000ff00', 'hex'))],
      'lost synchronization with server: invalid message',
    ],
    [
      'a value of a negative length',
      [letIn, message('D', Buffer.from('0001fffffffe00', 'hex'))],
      'lost synchronization with server: invalid message',
    ],
    [
      'more columns than there are',
      [letIn, message('T', Buffer.from('7fff00', 'hex'))],
      'lost synchronization with server: invalid message',
    ],
    [
      'mechanisms without an end',
      [message('R', Buffer.from('0000000a4100', 'hex'))],
      'lost synchronization with server: invalid message',
    ],
  ] as const)('%s', (_what, chunks, reason) => {
    expect(() => pushAll(...chunks)).toThrow(expect.objectContaining({ code: 'SERVER', message: reason }))
  })

  test('an answer without an end, though each of its messages is short', () => {
    const rows = Buffer.concat(Array.from({ length: 1000 }, () => row('x'.repeat(1000))))
    const parser = new ServerMessages(() => {})
    parser.push(letIn)
    const pushEndlessly = (): void => {
      for (;;) parser.push(rows)
    }
    expect(pushEndlessly).toThrow('more came than an answer can have')
  })

  test('but not any amount of WAL', () => {
    const piece = wal(1n, Buffer.alloc(1 << 20))
    let messages = 0
    const parser = new ServerMessages(() => messages++)
    parser.push(letIn)
    for (let megabytes = 0; megabytes < 100; megabytes++) parser.push(piece)
    expect(messages).toBe(101)
  })
})

interface Taken {
  readonly taken: string[]
  readonly rest: string[]
}

/** What a consumer of CopyData gets of these chunks, all in the same memory, and what is left. */
function pushTo(consumer: Omit<MessageConsumer, 'consume'>, chunks: readonly Buffer[]): Taken {
  const taken: string[] = []
  const rest: string[] = []
  const parser = new ServerMessages((_, { type, content }) => rest.push(type + content.toString('latin1')))
  parser.push(letIn)
  parser.consumer = {
    ...consumer,
    consume: (message) => {
      if (message.type === 'copy-data') taken.push(message.bytes.toString('latin1'))
      return message.type === 'copy-data'
    },
  }
  const memory = Buffer.alloc(Math.max(...chunks.map(({ length }) => length)))
  for (const chunk of chunks) {
    chunk.copy(memory)
    parser.push(memory.subarray(0, chunk.length))
    memory.fill(0xff)
  }
  return { taken, rest: rest.slice(1) }
}

describe('whoever takes messages', () => {
  const copy = [message('H', Buffer.of(0, 0, 0)), message('d', 'first row'), message('N', 'Mby the way\0\0')]
  const bytes = Buffer.concat([...copy, message('d'), message('d', 'second row'), copyDone, ready])
  const rest = ['H\0\0\0', 'NMby the way\0\0', 'c', 'ZI']

  test('gets these in pieces, and `pg` the others, wherever the stream is cut', () => {
    for (let cut = 1; cut < bytes.length; cut++) {
      const found = pushTo({ consumesPieces: true }, [bytes.subarray(0, cut), bytes.subarray(cut)])
      expect({ taken: found.taken.join(''), rest: found.rest }).toEqual({
        taken: 'first rowsecond row',
        rest,
      })
    }
  })

  test('gets them whole, wherever the stream is cut', () => {
    for (let cut = 1; cut < bytes.length; cut++) {
      const found = pushTo({ consumesPieces: false }, [bytes.subarray(0, cut), bytes.subarray(cut)])
      expect(found).toEqual({ taken: ['first row', '', 'second row'], rest })
    }
  })

  const gigabyte = Buffer.from('6440000000', 'hex')

  test('gets any amount in pieces, and none that is too much otherwise', () => {
    expect(pushTo({ consumesPieces: true }, [gigabyte, Buffer.from('some')]).taken).toEqual(['some'])
    expect(() => pushTo({ consumesPieces: false }, [gigabyte])).toThrow('more came than an answer can have')
    expect(() => pushTo({ consumesPieces: true }, [Buffer.from('64ffffffff', 'hex')])).toThrow(
      'lost synchronization',
    )
    expect(() => pushTo({ consumesPieces: true }, [Buffer.from('6400000003', 'hex')])).toThrow(
      'invalid message',
    )
  })

  test('says in its own words what cannot be', () => {
    const consumer = { consumesPieces: true, outOfStep: () => new Error('in my words') }
    for (const bytes of [message('?'), message('C', 'no end'), Buffer.from('4440000000', 'hex')]) {
      expect(() => pushTo(consumer, [bytes])).toThrow('in my words')
    }
  })
})
