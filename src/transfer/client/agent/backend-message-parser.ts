import { PbManifestError } from '../../../errors.js'
import { decodePathname } from '../../../files/pathname.js'
import { MessageFields } from '../../wire/protocol/message-fields.js'
import { onOneLine } from '../../connection/reported-text.js'
import type { BackendMessage, ReportedError, Value } from './backend-message.js'

/** A message other than CopyData is kept whole, so it must not be of any size. */
const MOST_MESSAGE_BYTES = 64 * 1024 * 1024

/** One byte says which message it is, four how long it is, themselves included. */
const HEADER_BYTES = 5

const COPY_DATA = 'd'

/**
 * Makes messages of the bytes that an agent sends. Bytes in, messages out: no socket.
 *
 * The data of CopyData messages is passed on as it comes, in slices of what was pushed; all else is copied.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class BackendMessageParser {
  readonly #onMessage: (message: BackendMessage) => void
  /** The header in progress, and then the message. */
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerBytes = 0
  #type = ''
  #content: Buffer[] = []
  /** What the message in progress still lacks. */
  #remaining = 0

  constructor(onMessage: (message: BackendMessage) => void) {
    this.#onMessage = onMessage
  }

  /** @throws {@link PbManifestError} `SERVER` when this cannot be an agent's messages */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#headerBytes < HEADER_BYTES) {
        at += this.#takeHeader(chunk, at)
        if (this.#headerBytes < HEADER_BYTES) return
        this.#begin()
      } else {
        const end = Math.min(chunk.length, at + this.#remaining)
        this.#takeContent(chunk.subarray(at, end))
        at = end
      }
      if (this.#headerBytes === HEADER_BYTES && this.#remaining === 0) this.#end()
    }
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const copied = chunk.copy(this.#header, this.#headerBytes, at)
    this.#headerBytes += copied
    return copied
  }

  #begin(): void {
    this.#type = String.fromCharCode(this.#header.readUInt8(0))
    this.#remaining = this.#header.readInt32BE(1) - 4
    if (this.#remaining < 0) throw outOfStep()
    if (this.#type !== COPY_DATA && this.#remaining > MOST_MESSAGE_BYTES) throw outOfStep()
  }

  #takeContent(bytes: Buffer): void {
    this.#remaining -= bytes.length
    if (this.#type === COPY_DATA) this.#onMessage({ type: 'data', bytes })
    // The last piece is used before the chunk may change.
    else this.#content.push(this.#remaining === 0 ? bytes : Buffer.from(bytes))
  }

  #end(): void {
    const [first, ...rest] = this.#content
    const content = first === undefined || rest.length === 0 ? first : Buffer.concat(this.#content)
    this.#content = []
    this.#headerBytes = 0
    const message = readMessage(this.#type, content ?? Buffer.alloc(0))
    if (message !== undefined) this.#onMessage(message)
  }
}

/** @returns `undefined` for a message that tells nothing that matters here */
function readMessage(type: string, content: Buffer): BackendMessage | undefined {
  const fields = new MessageFields(content, outOfStep)
  switch (type) {
    case 'T':
      return { type: 'columns', names: readColumnNames(fields) }
    case 'D':
      return { type: 'row', values: readValues(fields) }
    case 'C':
      return { type: 'complete', tag: fields.text() }
    case 'N': {
      const named = readNamedFields(fields)
      const severity = named.get('V') === 'WARNING' ? 'WARNING' : 'NOTICE'
      const hint = named.get('H')
      const notice = {
        severity,
        message: onOneLine(named.get('M') ?? ''),
        ...(hint !== undefined && { hint: onOneLine(hint) }),
      } as const
      return { type: 'notice', notice }
    }
    case 'E':
      return { type: 'error', error: readError(fields) }
    case 'Z':
      return { type: 'ready' }
    case COPY_DATA:
    // CopyOutResponse and CopyDone: where a COPY ends, its CommandComplete tells.
    case 'H':
    case 'c':
    // ParameterStatus and EmptyQueryResponse
    case 'S':
    case 'I':
      return undefined
    default:
      throw outOfStep()
  }
}

function readColumnNames(fields: MessageFields): string[] {
  return Array.from({ length: fields.int16() }, () => {
    const name = fields.text()
    // Table, column, type, its size and modifier, format: six numbers, together
    fields.bytes(18)
    return name
  })
}

function readValues(fields: MessageFields): Value[] {
  return Array.from({ length: fields.int16() }, () => {
    const length = fields.int32()
    return length === -1 ? null : decodePathname(fields.bytes(length))
  })
}

function readNamedFields(fields: MessageFields): ReadonlyMap<string, string> {
  const named = new Map<string, string>()
  for (let code = fields.byte(); code !== 0; code = fields.byte()) {
    named.set(String.fromCharCode(code), fields.text())
  }
  return named
}

function readError(fields: MessageFields): ReportedError {
  const named = readNamedFields(fields)
  return {
    isFatal: named.get('V') === 'FATAL' || named.get('V') === 'PANIC',
    sqlstate: named.get('C') ?? '',
    message: named.get('M') ?? 'an error without a message',
    detail: named.get('D'),
    hint: named.get('H'),
  }
}

function outOfStep(): PbManifestError {
  return new PbManifestError('SERVER', 'lost synchronization with the agent: invalid message')
}
