import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatMessage,
  formatUntyped,
  type Frame,
  type FrameRules,
  MessageFraming,
} from '../../../../src/transfer/wire/protocol/message-framing.js'

const rules: FrameRules = {
  requireType: () => {},
  requireLength: () => {},
  isStreamed: (type) => type === 'd',
}

/** What these chunks hold, with content of its own; pieces of one message and the next lie in one. */
function cut(chunks: readonly Buffer[], framing = new MessageFraming()): readonly [string, string][] {
  const found: [string, string][] = []
  const memory = Buffer.alloc(Math.max(1, ...chunks.map(({ length }) => length)))
  for (const chunk of chunks) {
    // All chunks come in the same memory, as they do from a socket.
    chunk.copy(memory)
    framing.push(memory.subarray(0, chunk.length))
    for (let frame = framing.take(rules); frame !== undefined; frame = framing.take(rules)) add(found, frame)
    memory.fill(0xff)
  }
  expect(framing.pendingBytes).toBe(0)
  return found
}

function add(found: [string, string][], { type, content }: Frame): void {
  const last = found.at(-1)
  if (type === 'd' && last?.[0] === 'd') last[1] += content.toString('latin1')
  else found.push([type, content.toString('latin1')])
}

const frames = fc.array(
  fc.tuple(
    fc.constantFrom('d', 'd', 'N', 'C', '\0'),
    fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array()),
  ),
)

test('messages are what they were, wherever the stream is cut', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat({ max: 300 })), (list, cuts) => {
      const bytes = Buffer.concat(list.map(([type, content]) => formatMessage(type, content)))
      const places = cuts.map((place) => Math.min(place, bytes.length)).toSorted((a, b) => a - b)
      const chunks = [0, ...places].map((place, index) =>
        bytes.subarray(place, places[index] ?? bytes.length),
      )
      const expected: [string, string][] = []
      for (const [type, content] of list) {
        if (type !== 'd' || content.length > 0) add(expected, { type, content: Buffer.from(content) })
      }
      expect(cut(chunks)).toEqual(expected)
      expect(cut(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(expected)
    }),
  )
})

test('messages without a type stand before the others', () => {
  const bytes = Buffer.concat([
    formatUntyped(Buffer.from('one')),
    formatUntyped(),
    formatMessage('Q', Buffer.from('x')),
  ])
  for (let place = 0; place <= bytes.length; place++) {
    const framing = new MessageFraming()
    const untyped: string[] = []
    let typed: Frame | undefined
    for (const chunk of [bytes.subarray(0, place), bytes.subarray(place)]) {
      framing.push(chunk)
      while (untyped.length < 2) {
        const message = framing.takeUntyped(() => {})
        if (message === undefined) break
        untyped.push(message.toString())
      }
      if (untyped.length === 2) typed ??= framing.take(rules)
    }
    expect([untyped, typed?.type, typed?.content.toString()]).toEqual([['one', ''], 'Q', 'x'])
  }
})

test('nobody has to ask at once: what waits is kept', () => {
  const framing = new MessageFraming()
  const bytes = Buffer.concat([formatMessage('a', Buffer.from('1')), formatMessage('b', Buffer.from('2'))])
  for (const byte of bytes) framing.push(Buffer.of(byte))
  expect(framing.pendingBytes).toBe(bytes.length)
  expect(framing.take(rules)).toEqual({ type: 'a', content: Buffer.from('1') })
  framing.push(formatMessage('c', Buffer.from('3')))
  expect(framing.take(rules)).toEqual({ type: 'b', content: Buffer.from('2') })
  expect(framing.take(rules)).toEqual({ type: 'c', content: Buffer.from('3') })
  expect(framing.take(rules)).toBeUndefined()
})

test('content that is not cut is a slice, not a copy', () => {
  for (const type of ['d', 'C']) {
    const chunk = formatMessage(type, Buffer.alloc(10_000, 7))
    const framing = new MessageFraming()
    framing.push(chunk)
    expect(framing.take(rules)?.content.buffer).toBe(chunk.buffer)
  }
})

function refuse(): never {
  throw new Error('no')
}

describe('what must not be is refused', () => {
  test('by its first byte, or by its header: nothing waits for the rest', () => {
    const byType = new MessageFraming()
    byType.push(Buffer.from('x'))
    expect(() => byType.take({ ...rules, requireType: refuse })).toThrow('no')
    const byLength = new MessageFraming()
    byLength.push(Buffer.from('x\0\0\0', 'latin1'))
    expect(byLength.take({ ...rules, requireLength: refuse })).toBeUndefined()
    byLength.push(Buffer.of(9))
    expect(() => byLength.take({ ...rules, requireLength: refuse })).toThrow('no')
  })

  test.each([
    ['00000004', 0],
    ['00000003', -1],
    ['ffffffff', 2 ** 32 - 5],
  ])('a length of %s is one of %d for the content', (hex, expected) => {
    const framing = new MessageFraming()
    framing.push(Buffer.concat([Buffer.from('x'), Buffer.from(hex, 'hex')]))
    const lengths: number[] = []
    const requireLength = (_: string, bytes: number): void => {
      lengths.push(bytes)
      if (bytes !== 0) throw new Error('no')
    }
    try {
      framing.take({ ...rules, requireLength })
    } catch {
      // As meant
    }
    expect(lengths).toEqual([expected])
  })
})

test('a long message that comes byte by byte takes no time that grows with its square', () => {
  const framing = new MessageFraming()
  const bytes = formatMessage('C', Buffer.alloc(1 << 20))
  let found: Frame | undefined
  for (let at = 0; at < bytes.length; at++) {
    framing.push(bytes.subarray(at, at + 1))
    found = framing.take(rules)
  }
  expect(found?.content.length).toBe(1 << 20)
})
