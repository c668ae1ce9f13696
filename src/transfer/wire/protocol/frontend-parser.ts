import type { WireError } from '../wire-error.js'
import { ByteQueue } from './byte-queue.js'
import type { FrontendMessage, StartupMessage } from './frontend-message.js'
import { parseStartupPacket } from './parse-startup-packet.js'
import { badMessage, brokenProtocol } from './protocol-violation.js'

/** PostgreSQL's limit. */
const MAX_STARTUP_BYTES = 10_000
/** A length counts itself. */
const LENGTH_BYTES = 4
const TYPE_BYTES = 1
const VERSION_BYTES = 4

/**
 * Cuts what a client sends into messages. Bytes in, messages out when they are asked for: no socket, and no opinion on
 * what may follow what.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class FrontendParser {
  readonly #bytes = new ByteQueue()

  /** How many bytes came that belong to no message that was taken. */
  get pendingBytes(): number {
    return this.#bytes.length
  }

  push(chunk: Uint8Array): void {
    this.#bytes.push(chunk)
  }

  /**
   * Takes the next message of those without a type, if it is complete.
   *
   * @throws {@link WireError} `FATAL`
   */
  takeStartup(): StartupMessage | undefined {
    if (this.#bytes.length < LENGTH_BYTES) return undefined
    const length = this.#bytes.peekInt32(0)
    if (length < LENGTH_BYTES + VERSION_BYTES || length > MAX_STARTUP_BYTES) {
      throw brokenProtocol('invalid length of startup packet')
    }
    if (this.#bytes.length < length) return undefined
    return parseStartupPacket(this.#bytes.take(length).subarray(LENGTH_BYTES))
  }

  /**
   * Takes the next message, if it is complete. A message that is too long is refused as soon as its length is known.
   *
   * @param maxBytes - how long its payload may be
   * @throws {@link WireError} `FATAL` when the stream cannot be followed; `ERROR` when only this message is wrong, which
   *   has been taken then
   */
  takeMessage(maxBytes: number): FrontendMessage | undefined {
    if (this.#bytes.length === 0) return undefined
    const letter = String.fromCharCode(this.#bytes.peekByte(0))
    const parse = parsers[letter]
    // Before its length is even known: what does not speak this protocol should hear so at once.
    if (parse === undefined) throw invalidType(letter)
    if (this.#bytes.length < TYPE_BYTES + LENGTH_BYTES) return undefined
    const payloadBytes = this.#bytes.peekInt32(TYPE_BYTES) - LENGTH_BYTES
    if (payloadBytes < 0 || payloadBytes > maxBytes) throw invalidLength(payloadBytes, maxBytes)
    if (this.#bytes.length < TYPE_BYTES + LENGTH_BYTES + payloadBytes) return undefined
    return parse(
      this.#bytes.take(TYPE_BYTES + LENGTH_BYTES + payloadBytes).subarray(TYPE_BYTES + LENGTH_BYTES),
    )
  }
}

type ParsePayload = (payload: Buffer) => FrontendMessage

const extendedQuery: ParsePayload = () => ({ type: 'extended-query' })
const copy: ParsePayload = () => ({ type: 'copy' })

const parsers: Readonly<Record<string, ParsePayload>> = Object.assign(Object.create(null), {
  Q: (payload) => ({ type: 'query', text: readWholeString(payload) }),
  p: (payload) => ({ type: 'authentication', payload }),
  P: extendedQuery,
  B: extendedQuery,
  D: extendedQuery,
  E: extendedQuery,
  C: extendedQuery,
  H: () => ({ type: 'flush' }),
  S: () => ({ type: 'sync' }),
  F: () => ({ type: 'function-call' }),
  d: copy,
  c: copy,
  f: copy,
  X: () => ({ type: 'terminate' }),
} satisfies Record<string, ParsePayload>) as Record<string, ParsePayload>

/** A payload that is one string and its NUL. */
function readWholeString(payload: Buffer): Buffer {
  const nul = payload.indexOf(0)
  if (nul === -1) throw badMessage('invalid string in message')
  if (nul !== payload.length - 1) throw badMessage('invalid message format')
  return payload.subarray(0, nul)
}

function invalidType(letter: string): WireError {
  return brokenProtocol(`invalid frontend message type ${String(letter.charCodeAt(0))}`)
}

function invalidLength(payloadBytes: number, maxBytes: number): WireError {
  const detail =
    payloadBytes > maxBytes
      ? `The message has ${String(payloadBytes)} bytes; ${String(maxBytes)} are allowed.`
      : undefined
  return brokenProtocol('invalid message length', detail)
}
