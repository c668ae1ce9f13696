import { describe, expect, test } from 'vitest'
import { ServerMessages } from '../../../src/transfer/connection/server-messages.js'
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
  const parser = new ServerMessages((message) => messages.push(message))
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
