import type { WireError } from '../wire-error.js'
import type { WireColumn, WireNotice, WireRow, WireType } from '../wire-handler.js'
import { cString, int16, int32, message, messageHeader } from './message-bytes.js'

/**
 * The messages of a server, as bytes.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export const backendMessages = {
  authenticationOk: (): Buffer => message('R', int32(0)),

  /** AuthenticationSASL: the mechanisms that we offer. */
  saslMechanisms: (names: readonly string[]): Buffer =>
    message('R', int32(10), ...names.map(cString), Buffer.of(0)),

  saslContinue: (data: string): Buffer => message('R', int32(11), Buffer.from(data)),

  saslFinal: (data: string): Buffer => message('R', int32(12), Buffer.from(data)),

  /**
   * NegotiateProtocolVersion. The version is the whole one, as servers send it, though the manual says that it is the
   * minor one.
   */
  negotiateProtocolVersion: (unknownOptions: readonly string[]): Buffer =>
    message('v', int32(PROTOCOL_3_0), int32(unknownOptions.length), ...unknownOptions.map(cString)),

  parameterStatus: (name: string, value: string): Buffer => message('S', cString(name), cString(value)),

  backendKeyData: (pid: number, secret: Buffer): Buffer => message('K', int32(pid), secret),

  /** ReadyForQuery; there are no transactions. */
  readyForQuery: (): Buffer => message('Z', Buffer.from('I')),

  rowDescription: (columns: readonly WireColumn[]): Buffer =>
    message('T', int16(columns.length), ...columns.map(fieldDescription)),

  dataRow: (row: WireRow): Buffer => message('D', int16(row.length), ...row.flatMap(fieldValue)),

  commandComplete: (tag: string): Buffer => message('C', cString(tag)),

  emptyQueryResponse: (): Buffer => message('I'),

  /** CopyOutResponse as a base backup has it: no columns, text. */
  copyOutResponse: (): Buffer => message('H', Buffer.of(0), int16(0)),

  /** What stands before the bytes of a CopyData. */
  copyDataHeader: (bytes: number): Buffer => messageHeader('d', bytes),

  copyDone: (): Buffer => message('c'),

  errorResponse: (error: WireError): Buffer => message('E', ...errorFields(error)),

  noticeResponse: (notice: WireNotice): Buffer =>
    message(
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
