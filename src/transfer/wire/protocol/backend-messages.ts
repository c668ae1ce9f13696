import type { WireError } from '../wire-error.js'
import type { WireColumn, WireNotice, WireRow, WireType } from '../wire-handler.js'
import { cString, int16, int32, MessageFields } from './message-fields.js'
import { formatHeader, formatMessage } from './message-framing.js'

/** A message of a server, as far as anything is done with it. Bytes are slices of the message. */
export type BackendMessage =
  | { readonly type: 'authentication'; readonly code: number; readonly data: Buffer }
  | {
      readonly type: 'negotiate-protocol-version'
      readonly version: number
      readonly unknownOptions: readonly string[]
    }
  | { readonly type: 'parameter-status'; readonly name: string; readonly value: string }
  | { readonly type: 'backend-key-data'; readonly pid: number; readonly secret: Buffer }
  | { readonly type: 'ready-for-query' }
  | { readonly type: 'row-description'; readonly names: readonly string[] }
  /** `null` is SQL's. */
  | { readonly type: 'data-row'; readonly values: readonly (Buffer | null)[] }
  | { readonly type: 'command-complete'; readonly tag: string }
  | { readonly type: 'empty-query-response' }
  | { readonly type: 'copy-in-response' | 'copy-out-response' | 'copy-both-response' }
  | { readonly type: 'copy-data'; readonly bytes: Buffer }
  | { readonly type: 'copy-done' }
  | { readonly type: 'error-response' | 'notice-response'; readonly report: Report }
  /** Of what we never use: the extended protocol, and notifications. */
  | { readonly type: 'other' }

/** What an error or a notice says. */
export interface Report {
  /** `ERROR`, `WARNING` ..., never translated. */
  readonly severity: string | undefined
  readonly sqlstate: string | undefined
  readonly message: string | undefined
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly position: number | undefined
}

/**
 * What each message of a server is made of; what is not here does not come from one.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
const readers: Readonly<Record<string, ((fields: MessageFields) => BackendMessage) | undefined>> = {
  1: other,
  2: other,
  3: other,
  A: (fields) => {
    fields.int32()
    fields.text()
    fields.text()
    return other()
  },
  C: (fields) => ({ type: 'command-complete', tag: fields.text() }),
  D: (fields) => ({ type: 'data-row', values: fields.list(() => readValue(fields)) }),
  E: (fields) => ({ type: 'error-response', report: readReport(fields) }),
  G: (fields) => readCopyResponse(fields, 'copy-in-response'),
  H: (fields) => readCopyResponse(fields, 'copy-out-response'),
  I: () => ({ type: 'empty-query-response' }),
  K: (fields) => ({ type: 'backend-key-data', pid: fields.int32(), secret: fields.bytes(SECRET_BYTES) }),
  N: (fields) => ({ type: 'notice-response', report: readReport(fields) }),
  R: readAuthentication,
  S: (fields) => ({ type: 'parameter-status', name: fields.text(), value: fields.text() }),
  T: (fields) => ({ type: 'row-description', names: fields.list(() => readColumnName(fields)) }),
  W: (fields) => readCopyResponse(fields, 'copy-both-response'),
  Z: (fields) => {
    fields.byte()
    return { type: 'ready-for-query' }
  },
  c: () => ({ type: 'copy-done' }),
  d: (fields) => ({ type: 'copy-data', bytes: fields.rest() }),
  n: other,
  s: other,
  t: (fields) => {
    fields.list(() => fields.int32())
    return other()
  },
  v: (fields) => {
    const version = fields.int32()
    const options = fields.int32()
    if (options > MOST_OPTIONS) throw fields.outOfStep()
    const unknownOptions = Array.from({ length: options }, () => fields.text())
    return { type: 'negotiate-protocol-version', version, unknownOptions }
  },
}

/** Whether a server has a message with this letter. */
export function isBackendMessageType(type: string): boolean {
  return readers[type] !== undefined
}

/**
 * Makes a message of its content.
 *
 * @param type - its letter
 * @param outOfStep - makes what is thrown when there is no such message, or when it lacks one of its fields
 */
export function parseBackendMessage(type: string, content: Buffer, outOfStep: () => Error): BackendMessage {
  // There may be very many of these.
  if (type === COPY_DATA) return { type: 'copy-data', bytes: content }
  const read = readers[type]
  if (read === undefined) throw outOfStep()
  return read(new MessageFields(content, outOfStep))
}

export const COPY_DATA = 'd'

/** Of protocol 3.0. */
const SECRET_BYTES = 4

/** Of a password that is sent as MD5. */
const SALT_BYTES = 4

/** Nobody asks for as many. */
const MOST_OPTIONS = 1000

/** The codes of Authentication messages. */
export const authenticationCodes = { ok: 0, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

function other(): BackendMessage {
  return { type: 'other' }
}

function readAuthentication(fields: MessageFields): BackendMessage {
  const code = fields.int32()
  const data = fields.rest()
  const hasAll =
    (code !== authenticationCodes.md5 || data.length >= SALT_BYTES) &&
    // A list of names, which an empty one ends
    (code !== authenticationCodes.sasl || data[0] === 0 || data.includes('\0\0'))
  if (!hasAll) throw fields.outOfStep()
  return { type: 'authentication', code, data }
}

function readColumnName(fields: MessageFields): string {
  const name = fields.text()
  // Table, column, type, its size and modifier, format: six numbers, together
  fields.bytes(18)
  return name
}

function readValue(fields: MessageFields): Buffer | null {
  const length = fields.int32()
  return length === -1 ? null : fields.bytes(length)
}

function readCopyResponse(
  fields: MessageFields,
  type: 'copy-in-response' | 'copy-out-response' | 'copy-both-response',
): BackendMessage {
  fields.byte()
  fields.list(() => fields.int16())
  return { type }
}

/** @see https://www.postgresql.org/docs/current/protocol-error-fields.html */
function readReport(fields: MessageFields): Report {
  const named = new Map<string, string>()
  for (let code = fields.byte(); code !== 0; code = fields.byte()) {
    named.set(String.fromCharCode(code), fields.text())
  }
  const position = named.get('P')
  return {
    severity: named.get('V'),
    sqlstate: named.get('C'),
    message: named.get('M'),
    detail: named.get('D'),
    hint: named.get('H'),
    position: position === undefined ? undefined : Number(position),
  }
}

/** The messages that we send as a server, as bytes. */
export const backendMessages = {
  authenticationOk: (): Buffer => formatMessage('R', int32(authenticationCodes.ok)),

  /** AuthenticationSASL: the mechanisms that we offer. */
  saslMechanisms: (names: readonly string[]): Buffer =>
    formatMessage('R', int32(authenticationCodes.sasl), ...names.map(cString), Buffer.of(0)),

  saslContinue: (data: string): Buffer =>
    formatMessage('R', int32(authenticationCodes.saslContinue), Buffer.from(data)),

  saslFinal: (data: string): Buffer =>
    formatMessage('R', int32(authenticationCodes.saslFinal), Buffer.from(data)),

  /**
   * NegotiateProtocolVersion. The version is the whole one, as servers send it, though the manual says that it is the
   * minor one.
   */
  negotiateProtocolVersion: (unknownOptions: readonly string[]): Buffer =>
    formatMessage('v', int32(PROTOCOL_3_0), int32(unknownOptions.length), ...unknownOptions.map(cString)),

  parameterStatus: (name: string, value: string): Buffer => formatMessage('S', cString(name), cString(value)),

  backendKeyData: (pid: number, secret: Buffer): Buffer => formatMessage('K', int32(pid), secret),

  /** ReadyForQuery; there are no transactions. */
  readyForQuery: (): Buffer => formatMessage('Z', Buffer.from('I')),

  rowDescription: (columns: readonly WireColumn[]): Buffer =>
    formatMessage('T', int16(columns.length), ...columns.map(fieldDescription)),

  dataRow: (row: WireRow): Buffer => formatMessage('D', int16(row.length), ...row.flatMap(fieldValue)),

  commandComplete: (tag: string): Buffer => formatMessage('C', cString(tag)),

  emptyQueryResponse: (): Buffer => formatMessage('I'),

  /** CopyOutResponse as a base backup has it: no columns, text. */
  copyOutResponse: (): Buffer => formatMessage('H', Buffer.of(0), int16(0)),

  /** CopyInResponse as UPLOAD_MANIFEST has it: no columns, text. */
  copyInResponse: (): Buffer => formatMessage('G', Buffer.of(0), int16(0)),

  /** What stands before the bytes of a CopyData. */
  copyDataHeader: (bytes: number): Buffer => formatHeader(COPY_DATA, bytes),

  copyDone: (): Buffer => formatMessage('c'),

  errorResponse: (error: WireError): Buffer => formatMessage('E', ...errorFields(error)),

  noticeResponse: (notice: WireNotice): Buffer =>
    formatMessage(
      'N',
      ...errorFields({ ...notice, sqlstate: notice.sqlstate ?? noticeSqlstates[notice.severity] }),
    ),
} as const

const PROTOCOL_3_0 = 196_608

const noticeSqlstates = { WARNING: '01000', NOTICE: '00000' } as const

const types: Readonly<Record<WireType, { readonly oid: number; readonly size: number }>> = {
  bool: { oid: 16, size: 1 },
  bytea: { oid: 17, size: -1 },
  int4: { oid: 23, size: 4 },
  int8: { oid: 20, size: 8 },
  text: { oid: 25, size: -1 },
}

function fieldDescription({ name, type = 'text' }: WireColumn): Buffer {
  const { oid, size } = types[type]
  // No table, no type modifier, text format.
  return Buffer.concat([cString(name), int32(0), int16(0), int32(oid), int16(size), int32(-1), int16(0)])
}

function fieldValue(value: string | Uint8Array | null): Uint8Array[] {
  if (value === null) return [int32(-1)]
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  return [int32(bytes.length), bytes]
}

interface ErrorFields {
  readonly severity: string
  readonly sqlstate: string
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  readonly position?: number | undefined
}

/** @see https://www.postgresql.org/docs/current/protocol-error-fields.html */
function errorFields({ severity, sqlstate, message, detail, hint, position }: ErrorFields): Buffer[] {
  const fields: readonly (readonly [string, string | undefined])[] = [
    ['S', severity],
    // The same again, never translated.
    ['V', severity],
    ['C', sqlstate],
    ['M', message],
    ['D', detail],
    ['H', hint],
    ['P', position === undefined ? undefined : String(position)],
  ]
  const present = fields.flatMap(([field, text]) =>
    text === undefined ? [] : [Buffer.from(field), cString(text)],
  )
  return [...present, Buffer.of(0)]
}
