import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { isPbManifestError } from '../../../../src/errors.js'
import type { BackendMessage } from '../../../../src/transfer/client/agent/backend-message.js'
import { BackendMessageParser } from '../../../../src/transfer/client/agent/backend-message-parser.js'
import { createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { embeddedPostgres } from '../../../helpers/postgres-programs.js'
import { everyCut, message } from '../../cluster-files/sql/copy-messages.js'

/** The messages of these chunks; data that lies side by side in one piece. */
function parse(chunks: readonly Buffer[]): BackendMessage[] {
  const messages: BackendMessage[] = []
  const parser = new BackendMessageParser((found) => {
    const last = messages.at(-1)
    if (found.type === 'data' && last?.type === 'data') {
      messages[messages.length - 1] = { type: 'data', bytes: Buffer.concat([last.bytes, found.bytes]) }
    } else messages.push(found.type === 'data' ? { type: 'data', bytes: Buffer.from(found.bytes) } : found)
  })
  for (const chunk of chunks) parser.push(chunk)
  return messages
}

/** What a server sends in answer to a query, from the first byte to the last. */
async function recordAnswer(query: string): Promise<Buffer> {
  const cluster = await createCluster(await embeddedPostgres())
  onTestFinished(() => cluster.remove())
  const client = await cluster.client()
  onTestFinished(() => client.end())
  await client.query("SET client_encoding = 'LATIN1'")
  const chunks: Buffer[] = []
  client.connection.stream.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)))
  await client.query(query).catch(() => {})
  // An error is known before the server is ready again.
  const ready = Buffer.from('Z\0\0\0\x05I', 'latin1')
  await poll('the server to be ready', () =>
    Promise.resolve(Buffer.concat(chunks).subarray(-ready.length).equals(ready)),
  )
  return Buffer.concat(chunks)
}

describe("a server's messages", () => {
  test('are the same wherever the stream is cut', async () => {
    const bytes = await recordAnswer(`
      SELECT 1 AS one, NULL AS nothing, E'caf\\u00e9' AS name;
      DO $$ BEGIN RAISE WARNING 'look out'; RAISE NOTICE 'by the way'; END $$;
      COPY (SELECT repeat('x', 40)) TO STDOUT;
      COPY (SELECT 1 WHERE false) TO STDOUT;
      SET application_name = 'told by ParameterStatus';
      DO $$ BEGIN RAISE EXCEPTION 'bad thing' USING DETAIL = 'how bad', HINT = 'Do not.', ERRCODE = '55000'; END $$`)
    const found = new Set(Array.from(everyCut(bytes), (chunks) => JSON.stringify(parse(chunks))))
    expect(found.size).toBe(1)
    expect(parse([bytes])).toEqual([
      { type: 'columns', names: ['one', 'nothing', 'name'] },
      // The server sent Latin-1.
      { type: 'row', values: ['1', null, 'caf\udce9'] },
      { type: 'complete', tag: 'SELECT 1' },
      { type: 'notice', notice: { severity: 'WARNING', message: 'look out' } },
      { type: 'notice', notice: { severity: 'NOTICE', message: 'by the way' } },
      { type: 'complete', tag: 'DO' },
      { type: 'data', bytes: Buffer.from(`${'x'.repeat(40)}\n`) },
      { type: 'complete', tag: 'COPY 1' },
      { type: 'complete', tag: 'COPY 0' },
      { type: 'complete', tag: 'SET' },
      {
        type: 'error',
        error: {
          isFatal: false,
          sqlstate: '55000',
          message: 'bad thing',
          detail: 'how bad',
          hint: 'Do not.',
        },
      },
      { type: 'ready' },
    ])
  })

  test('do not change when the memory that they came in is used again', () => {
    const bytes = Buffer.concat([message('C', Buffer.from('SELECT 1\0')), message('Z', Buffer.from('I'))])
    const chunk = Buffer.alloc(7)
    const messages: BackendMessage[] = []
    const parser = new BackendMessageParser((found) => messages.push(found))
    for (let at = 0; at < bytes.length; at += chunk.length) {
      const length = bytes.copy(chunk, 0, at)
      parser.push(chunk.subarray(0, length))
      chunk.fill(0xff)
    }
    expect(messages).toEqual([{ type: 'complete', tag: 'SELECT 1' }, { type: 'ready' }])
  })

  test('give slices, not copies, of data', () => {
    const chunk = message('d', Buffer.alloc(1000, 7))
    const pieces: Buffer[] = []
    const parser = new BackendMessageParser((found) => {
      if (found.type === 'data') pieces.push(found.bytes)
    })
    parser.push(chunk)
    expect(pieces.map((piece) => [piece.length, piece.buffer === chunk.buffer])).toEqual([[1000, true]])
  })
})

describe('what is no message', () => {
  test.each([
    ['a length below that of a length', Buffer.from([0x5a, 0, 0, 0, 3])],
    ['a length below zero', Buffer.from([0x64, 0xff, 0xff, 0xff, 0xff])],
    ['a message of a gigabyte', Buffer.from([0x44, 0x40, 0, 0, 0])],
    ['an unknown type', message('?', Buffer.alloc(0))],
    ['a text without its end', message('C', Buffer.from('SELECT 1'))],
    ['a row that promises more columns', message('D', Buffer.from([0, 2, 0, 0, 0, 0]))],
    ['a value that promises more bytes', message('D', Buffer.from([0, 1, 0, 0, 0, 9, 65]))],
    ['a value of a negative length', message('D', Buffer.from([0, 1, 0xff, 0xff, 0xff, 0xfe]))],
    ['an error that breaks off', message('E', Buffer.from('SERROR\0'))],
  ])('is refused: %s', (_what, bytes) => {
    for (const chunks of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))]) {
      expect(() => parse(chunks)).toThrow(
        expect.objectContaining({
          code: 'SERVER',
          message: 'lost synchronization with the agent: invalid message',
        }),
      )
    }
  })

  test('is read, or refused in our words, whatever it is', () => {
    const type = fc.constantFrom('T', 'D', 'C', 'N', 'E', 'Z', 'd', 'H', 'c', 'S', 'I', '?')
    const messages = fc.array(fc.tuple(type, fc.uint8Array({ maxLength: 30 })), { maxLength: 6 })
    fc.assert(
      fc.property(messages, (list) => {
        const bytes = Buffer.concat(list.map(([type, content]) => message(type, Buffer.from(content))))
        expect(outcomeOf(bytes)).toMatch(/^(?:read|SERVER)$/)
      }),
      { numRuns: 2000 },
    )
  })
})

function outcomeOf(bytes: Buffer): string {
  try {
    parse([bytes])
    return 'read'
  } catch (error) {
    return isPbManifestError(error) ? error.code : String(error)
  }
}
