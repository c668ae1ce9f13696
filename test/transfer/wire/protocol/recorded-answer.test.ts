import { expect, onTestFinished, test } from 'vitest'
import {
  type BackendMessage,
  parseBackendMessage,
} from '../../../../src/transfer/wire/protocol/backend-messages.js'
import { MessageFraming } from '../../../../src/transfer/wire/protocol/message-framing.js'
import { createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { embeddedPostgres } from '../../../helpers/postgres-programs.js'
import { everyCut } from '../../cluster-files/sql/copy-messages.js'

function parse(chunks: readonly Buffer[]): BackendMessage[] {
  const messages: BackendMessage[] = []
  const framing = new MessageFraming()
  const rules = { requireType: () => {}, requireLength: () => {}, isStreamed: () => false }
  for (const chunk of chunks) {
    framing.push(chunk)
    for (let frame = framing.take(rules); frame !== undefined; frame = framing.take(rules)) {
      messages.push(parseBackendMessage(frame.type, frame.content, () => new Error('out of step')))
    }
  }
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

test('what a real server answers is read, wherever the stream is cut', async () => {
  const bytes = await recordAnswer(`
    SELECT 1 AS one, NULL AS nothing, E'caf\\u00e9' AS name;
    DO $$ BEGIN RAISE WARNING 'look out'; RAISE NOTICE 'by the way'; END $$;
    COPY (SELECT repeat('x', 40)) TO STDOUT;
    COPY (SELECT 1 WHERE false) TO STDOUT;
    SET application_name = 'x';
    DO $$ BEGIN RAISE EXCEPTION 'bad thing' USING DETAIL = 'how bad', HINT = 'Do not.', ERRCODE = '55000'; END $$`)
  const found = new Set(Array.from(everyCut(bytes), (chunks) => JSON.stringify(parse(chunks))))
  expect(found.size).toBe(1)
  const report = { position: undefined, detail: undefined, hint: undefined }
  expect(parse([bytes])).toEqual([
    { type: 'row-description', names: ['one', 'nothing', 'name'] },
    // The server sent Latin-1.
    { type: 'data-row', values: [Buffer.from('1'), null, Buffer.from('caf\xe9', 'latin1')] },
    { type: 'command-complete', tag: 'SELECT 1' },
    {
      type: 'notice-response',
      report: { ...report, severity: 'WARNING', sqlstate: '01000', message: 'look out' },
    },
    {
      type: 'notice-response',
      report: { ...report, severity: 'NOTICE', sqlstate: '00000', message: 'by the way' },
    },
    { type: 'command-complete', tag: 'DO' },
    { type: 'copy-out-response' },
    { type: 'copy-data', bytes: Buffer.from(`${'x'.repeat(40)}\n`) },
    { type: 'copy-done' },
    { type: 'command-complete', tag: 'COPY 1' },
    { type: 'copy-out-response' },
    { type: 'copy-done' },
    { type: 'command-complete', tag: 'COPY 0' },
    { type: 'command-complete', tag: 'SET' },
    {
      type: 'error-response',
      report: {
        severity: 'ERROR',
        sqlstate: '55000',
        message: 'bad thing',
        detail: 'how bad',
        hint: 'Do not.',
        position: undefined,
      },
    },
    { type: 'ready-for-query' },
  ])
})
