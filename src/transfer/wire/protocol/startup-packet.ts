import { isUtf8 } from 'node:buffer'
import { brokenProtocol, WireError } from '../wire-error.js'
import { int32 } from './message-fields.js'
import { formatUntyped } from './message-framing.js'

/** What may come before the first message that has a type. */
export type StartupMessage =
  | { readonly type: 'ssl-request' }
  | { readonly type: 'gssenc-request' }
  | { readonly type: 'cancel-request'; readonly pid: number; readonly secret: Buffer }
  | StartupPacket

/** Opens a session. */
export interface StartupPacket {
  readonly type: 'startup'
  /** Of protocol 3. */
  readonly minorVersion: number
  readonly parameters: ReadonlyMap<string, string>
}

const PROTOCOL_MAJOR = 3
/** In place of a protocol version. */
const CANCEL_REQUEST = 80877102
const SSL_REQUEST = 80877103
const GSSENC_REQUEST = 80877104

/** The code, the process id and the secret of protocol 3.0. */
const CANCEL_REQUEST_BYTES = 12

/**
 * Reads a packet that has no type: what follows its length.
 *
 * @throws {@link WireError} `FATAL`
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 * @see ProcessStartupPacket in PostgreSQL's src/backend/tcop/backend_startup.c
 */
export function parseStartupPacket(payload: Buffer): StartupMessage {
  const code = payload.readInt32BE(0)
  switch (code) {
    case CANCEL_REQUEST:
      if (payload.length !== CANCEL_REQUEST_BYTES) throw brokenProtocol('invalid length of startup packet')
      return { type: 'cancel-request', pid: payload.readInt32BE(4), secret: Buffer.from(payload.subarray(8)) }
    case SSL_REQUEST:
      return { type: 'ssl-request' }
    case GSSENC_REQUEST:
      return { type: 'gssenc-request' }
    default:
      return parseVersion3(payload)
  }
}

/** Asks a server to cancel what another connection runs, which it has given this key. */
export function formatCancelRequest({
  pid,
  secret,
}: {
  readonly pid: number
  readonly secret: Buffer
}): Buffer {
  return formatUntyped(int32(CANCEL_REQUEST), int32(pid), secret)
}

/** The error for a version that we do not speak, also for a request for encryption where it cannot stand. */
export function unsupportedProtocol(majorVersion: number, minorVersion: number): WireError {
  const theirs = `${String(majorVersion)}.${String(minorVersion)}`
  return new WireError('0A000', `unsupported frontend protocol ${theirs}: server supports 3.0 to 3.0`, {
    severity: 'FATAL',
  })
}

function parseVersion3(payload: Buffer): StartupMessage {
  const majorVersion = payload.readUInt16BE(0)
  const minorVersion = payload.readUInt16BE(2)
  if (majorVersion !== PROTOCOL_MAJOR) throw unsupportedProtocol(majorVersion, minorVersion)
  return { type: 'startup', minorVersion, parameters: parseParameters(payload.subarray(4)) }
}

/** Name, NUL, value, NUL, over and over; an empty name at the end, and nothing after it. */
function parseParameters(bytes: Buffer): Map<string, string> {
  const parameters = new Map<string, string>()
  let at = 0
  for (;;) {
    const name = readString(bytes, at)
    if (name.text === '') break
    const value = readString(bytes, name.end)
    parameters.set(name.text, value.text)
    at = value.end
  }
  if (at !== bytes.length - 1) throw badLayout()
  return parameters
}

function readString(bytes: Buffer, start: number): { readonly text: string; readonly end: number } {
  const nul = bytes.indexOf(0, start)
  if (nul === -1) throw badLayout()
  const text = bytes.subarray(start, nul)
  if (isUtf8(text)) return { text: text.toString('utf8'), end: nul + 1 }
  throw new WireError('22021', 'invalid byte sequence for encoding "UTF8" in startup packet', {
    severity: 'FATAL',
  })
}

function badLayout(): WireError {
  return brokenProtocol('invalid startup packet layout: expected terminator as last byte')
}
