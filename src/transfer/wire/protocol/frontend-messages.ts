import { badMessage, brokenProtocol, type WireError } from '../wire-error.js'
import { cString } from './message-fields.js'
import { formatMessage, type FrameRules, MessageFraming } from './message-framing.js'
import { parseStartupPacket, type StartupMessage } from './startup-packet.js'

/** What a client sends after its startup packet. */
export type FrontendMessage =
  /** Without the final NUL. */
  | { readonly type: 'query'; readonly text: Buffer }
  /** A password or SASL data; what it holds depends on what was asked for. */
  | { readonly type: 'authentication'; readonly payload: Buffer }
  | { readonly type: 'extended-query' }
  | { readonly type: 'flush' }
  | { readonly type: 'sync' }
  | { readonly type: 'function-call' }
  /** CopyData, CopyDone or CopyFail: bytes, nothing, or the client's reason. */
  | { readonly type: 'copy'; readonly part: 'data' | 'done' | 'fail'; readonly bytes: Buffer }
  | { readonly type: 'terminate' }

/** The messages that we send as a client, beside those that `pg` sends; as bytes. */
export const frontendMessages = {
  query: (text: string): Buffer => formatMessage('Q', cString(text)),
  copyData: (bytes: Uint8Array): Buffer => formatMessage('d', bytes),
  copyDone: (): Buffer => formatMessage('c'),
} as const

/** PostgreSQL's limit. */
const MAX_STARTUP_BYTES = 10_000
/** Length and version. */
const MIN_STARTUP_BYTES = 8

/**
 * Makes messages of what a client sends. Bytes in, messages out when they are asked for: no socket, and no opinion on what
 * may follow what.
 */
export class FrontendParser {
  readonly #framing = new MessageFraming()

  /** How many bytes came that belong to no message that was taken. */
  get pendingBytes(): number {
    return this.#framing.pendingBytes
  }

  push(chunk: Buffer): void {
    this.#framing.push(chunk)
  }

  /**
   * Takes the next message of those without a type, if it is complete.
   *
   * @throws {@link WireError} `FATAL`
   */
  takeStartup(): StartupMessage | undefined {
    const packet = this.#framing.takeUntyped((bytes) => {
      if (bytes < MIN_STARTUP_BYTES || bytes > MAX_STARTUP_BYTES) {
        throw brokenProtocol('invalid length of startup packet')
      }
    })
    return packet === undefined ? undefined : parseStartupPacket(packet)
  }

  /**
   * Takes the next message, if it is complete. A message that is too long is refused as soon as its length is known.
   *
   * @param maxBytes - how long its content may be
   * @throws {@link WireError} `FATAL` when the stream cannot be followed; `ERROR` when only this message is wrong, which
   *   has been taken then
   */
  takeMessage(maxBytes: number): FrontendMessage | undefined {
    const frame = this.#framing.take(rulesFor(maxBytes))
    return frame && parsers[frame.type]?.(frame.content)
  }
}

function rulesFor(maxBytes: number): FrameRules {
  return {
    // Before its length is even known: what does not speak this protocol should hear so at once.
    requireType: (type) => {
      if (parsers[type] === undefined) throw invalidType(type)
    },
    requireLength: (_type, bytes) => {
      if (bytes < 0 || bytes > maxBytes) throw invalidLength(bytes, maxBytes)
    },
    isStreamed: () => false,
  }
}

type ParsePayload = (payload: Buffer) => FrontendMessage

const extendedQuery: ParsePayload = () => ({ type: 'extended-query' })
const copy =
  (part: 'data' | 'done' | 'fail'): ParsePayload =>
  (payload) => ({ type: 'copy', part, bytes: Buffer.from(payload) })

const parsers: Readonly<Record<string, ParsePayload>> = Object.assign(Object.create(null), {
  Q: (payload) => ({ type: 'query', text: Buffer.from(readWholeString(payload)) }),
  p: (payload) => ({ type: 'authentication', payload: Buffer.from(payload) }),
  P: extendedQuery,
  B: extendedQuery,
  D: extendedQuery,
  E: extendedQuery,
  C: extendedQuery,
  H: () => ({ type: 'flush' }),
  S: () => ({ type: 'sync' }),
  F: () => ({ type: 'function-call' }),
  d: copy('data'),
  c: copy('done'),
  f: copy('fail'),
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
  // As PostgreSQL reads it, it is negative otherwise.
  const isLong = payloadBytes > maxBytes && payloadBytes < 2 ** 31
  const detail = isLong
    ? `The message has ${String(payloadBytes)} bytes; ${String(maxBytes)} are allowed.`
    : undefined
  return brokenProtocol('invalid message length', detail)
}
