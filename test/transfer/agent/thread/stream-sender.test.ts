import { expect, test } from 'vitest'
import {
  allocatePieces,
  PIECE_BYTES,
  PIECES,
  piecesOf,
  type StreamPart,
  StreamSender,
} from '../../../../src/transfer/agent/thread/stream-sender.js'

const open = new AbortController().signal

interface Sent {
  readonly piece: number
  readonly parts: readonly StreamPart[]
  readonly bytes: Buffer
}

function createSender(): { readonly sender: StreamSender; readonly sent: Sent[] } {
  const memory = allocatePieces()
  const pieces = piecesOf(memory)
  const sent: Sent[] = []
  const sender = new StreamSender(memory, (piece, parts) => {
    const length = parts.reduce((sum, part) => sum + (part.type === 'bytes' ? part.length : 0), 0)
    sent.push({ piece, parts, bytes: Buffer.from(pieces[piece]?.subarray(0, length) ?? []) })
  })
  return { sender, sent }
}

test('small files share a piece', async () => {
  const { sender, sent } = createSender()
  for (const text of ['one', '', 'three']) {
    await sender.add({ type: 'begin' }, open)
    await sender.addBytes(Buffer.from(text), open)
    await sender.add({ type: 'end', tag: text }, open)
  }
  sender.flush()
  const parts = sent.flatMap((message) => message.parts)
  expect(parts).toEqual([
    { type: 'begin' },
    { type: 'bytes', length: 3 },
    { type: 'end', tag: 'one' },
    { type: 'begin' },
    { type: 'end', tag: '' },
    { type: 'begin' },
    { type: 'bytes', length: 5 },
    { type: 'end', tag: 'three' },
  ])
  expect(Buffer.concat(sent.map(({ bytes }) => bytes)).toString()).toBe('onethree')
})

test('no more is sent than there is memory for, until some is free again', async () => {
  const { sender, sent } = createSender()
  const content = Buffer.alloc((PIECES + 1) * PIECE_BYTES).map((_, index) => index % 251)
  const adding = sender.addBytes(content, open)
  await new Promise(setImmediate)
  expect(sent).toHaveLength(PIECES)
  sender.release(sent[0]?.piece ?? -1)
  await adding
  expect(sent).toHaveLength(PIECES + 1)
  expect(Buffer.concat(sent.map(({ bytes }) => bytes)).equals(content)).toBe(true)
})

test('whoever waits for memory is let go when nobody wants it any more', async () => {
  const { sender, sent } = createSender()
  const cancel = new AbortController()
  const adding = sender.addBytes(Buffer.alloc((PIECES + 1) * PIECE_BYTES), cancel.signal)
  await new Promise(setImmediate)
  cancel.abort()
  sender.wake()
  await expect(adding).rejects.toMatchObject({ code: 'ABORTED' })
  sender.discard()
  expect(sent).toHaveLength(PIECES)
})
