import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type BackendMessage,
  backendMessages,
  isBackendMessageType,
  parseBackendMessage,
} from '../../../../src/transfer/wire/protocol/backend-messages.js'
import { formatMessage, MessageFraming } from '../../../../src/transfer/wire/protocol/message-framing.js'
import { WireError } from '../../../../src/transfer/wire/wire-error.js'

function outOfStep(): Error {
  return new Error('out of step')
}

function parse(bytes: Buffer): BackendMessage[] {
  const framing = new MessageFraming()
  framing.push(bytes)
  const messages: BackendMessage[] = []
  const rules = { requireType: () => {}, requireLength: () => {}, isStreamed: () => false }
  for (let frame = framing.take(rules); frame !== undefined; frame = framing.take(rules)) {
    messages.push(parseBackendMessage(frame.type, frame.content, outOfStep))
  }
  expect(framing.pendingBytes).toBe(0)
  return messages
}

const text = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'))
const bytes = fc.uint8Array().map((bytes) => Buffer.from(bytes))
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined })

const report = fc.record({
  sqlstate: text,
  message: text,
  detail: maybe(text),
  hint: maybe(text),
  position: maybe(fc.nat()),
})

const columns = fc.array(
  fc.record({ name: text, type: fc.constantFrom('bool', 'bytea', 'int4', 'int8', 'text') }),
)

/** A message as we send it, and what it has to be read as. */
const sent: readonly fc.Arbitrary<readonly [Buffer, BackendMessage]>[] = [
  fc.constant([
    backendMessages.authenticationOk(),
    { type: 'authentication', code: 0, data: Buffer.alloc(0) },
  ]),
  fc.constant([
    backendMessages.saslMechanisms(['SCRAM-SHA-256']),
    { type: 'authentication', code: 10, data: Buffer.from('SCRAM-SHA-256\0\0') },
  ]),
  text.map((data) => [
    backendMessages.saslContinue(data),
    { type: 'authentication', code: 11, data: Buffer.from(data) },
  ]),
  text.map((data) => [
    backendMessages.saslFinal(data),
    { type: 'authentication', code: 12, data: Buffer.from(data) },
  ]),
  fc
    .array(text)
    .map((unknownOptions) => [
      backendMessages.negotiateProtocolVersion(unknownOptions),
      { type: 'negotiate-protocol-version', version: 3 << 16, unknownOptions },
    ]),
  fc
    .tuple(text, text)
    .map(([name, value]) => [
      backendMessages.parameterStatus(name, value),
      { type: 'parameter-status', name, value },
    ]),
  fc
    .tuple(int32, fc.uint8Array({ minLength: 4, maxLength: 4 }))
    .map(([pid, secret]) => [
      backendMessages.backendKeyData(pid, Buffer.from(secret)),
      { type: 'backend-key-data', pid, secret: Buffer.from(secret) },
    ]),
  fc.constant([backendMessages.readyForQuery(), { type: 'ready-for-query' }]),
  columns.map((columns) => [
    backendMessages.rowDescription(columns),
    { type: 'row-description', names: columns.map(({ name }) => name) },
  ]),
  fc.array(fc.oneof(text, bytes, fc.constant(null))).map((row) => [
    backendMessages.dataRow(row),
    {
      type: 'data-row',
      values: row.map((value) => (typeof value === 'string' ? Buffer.from(value) : value)),
    },
  ]),
  text.map((tag) => [backendMessages.commandComplete(tag), { type: 'command-complete', tag }]),
  fc.constant([backendMessages.emptyQueryResponse(), { type: 'empty-query-response' }]),
  fc.constant([backendMessages.copyOutResponse(), { type: 'copy-out-response' }]),
  fc.constant([backendMessages.copyInResponse(), { type: 'copy-in-response' }]),
  bytes.map((bytes) => [
    Buffer.concat([backendMessages.copyDataHeader(bytes.length), bytes]),
    { type: 'copy-data', bytes },
  ]),
  fc.constant([backendMessages.copyDone(), { type: 'copy-done' }]),
  fc
    .tuple(fc.constantFrom('ERROR', 'FATAL'), report)
    .map(([severity, report]) => [
      backendMessages.errorResponse(new WireError(report.sqlstate, report.message, { ...report, severity })),
      { type: 'error-response', report: { ...report, severity } },
    ]),
  fc
    .tuple(fc.constantFrom('WARNING', 'NOTICE'), report)
    .map(([severity, { sqlstate, message, detail, hint }]) => [
      backendMessages.noticeResponse({ severity, sqlstate, message, detail, hint }),
      { type: 'notice-response', report: { severity, sqlstate, message, detail, hint, position: undefined } },
    ]),
]

test('what we send as a server is read as what it was', () => {
  expect(sent).toHaveLength(Object.keys(backendMessages).length)
  fc.assert(
    fc.property(fc.array(fc.oneof(...sent)), (list) => {
      expect(parse(Buffer.concat(list.map(([bytes]) => bytes)))).toEqual(list.map(([, message]) => message))
    }),
  )
})

test('text that is not UTF-8 is not lost', () => {
  const status = formatMessage('S', Buffer.from([0x63, 0xe9, 0]), Buffer.from([0]))
  expect(parse(status)).toEqual([{ type: 'parameter-status', name: 'c\udce9', value: '' }])
})

describe('a message is read, or out of step, whatever is in it', () => {
  const letters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
  const known = letters.filter(isBackendMessageType)

  test('there are so many', () => {
    expect(known.join('')).toBe('123ACDEGHIKNRSTWZcdnstv')
  })

  test('any', () => {
    fc.assert(
      fc.property(fc.constantFrom(...known), fc.uint8Array({ maxLength: 40 }), (type, content) => {
        expect(outcomeOf(type, Buffer.from(content))).toMatch(/^(?:read|out of step)$/)
      }),
      { numRuns: 5000 },
    )
  })

  test.each([
    ['of no letter that there is', '?', ''],
    ['a text without its end', 'C', '5345'],
    ['a row that promises more columns', 'D', '000200000000'],
    ['a value that promises more bytes', 'D', '00010000000941'],
    ['a value of a negative length', 'D', '0001fffffffe'],
    ['an error that breaks off', 'E', '534552524f5200'],
    ['columns that break off', 'T', '7fff00'],
    ['mechanisms without an end', 'R', '0000000a4100'],
    ['a salt that is too short', 'R', '00000005414141'],
    ['a key that is too short', 'K', '0000000000'],
    ['options without an end', 'v', '000300007fffffff00'],
  ])('out of step: %s', (_what, type, hex) => {
    expect(() => parseBackendMessage(type, Buffer.from(hex, 'hex'), outOfStep)).toThrow('out of step')
  })
})

function outcomeOf(type: string, content: Buffer): string {
  try {
    parseBackendMessage(type, content, outOfStep)
    return 'read'
  } catch (error) {
    return (error as Error).message
  }
}
