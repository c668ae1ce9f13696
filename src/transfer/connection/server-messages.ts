import { PbManifestError } from '../../errors.js'
import { MessageFields } from './message-fields.js'

/** A message is kept whole, so it must not be of any size, nor may all those of one answer be. */
const MOST_BYTES = 64 * 1024 * 1024

/** One byte says which message it is, four how long it is, themselves included. */
export const HEADER_BYTES = 5

/** What a server may say before it has let us in. */
const GREETINGS = 'REvN'

/** What each message is made of; what is not here does not come from a server. */
const layouts: Readonly<Record<string, ((fields: MessageFields) => void) | undefined>> = {
  1: nothing,
  2: nothing,
  3: nothing,
  A: (fields) => {
    fields.int32()
    fields.string()
    fields.string()
  },
  C: (fields) => void fields.string(),
  D: (fields) => {
    for (let columns = fields.int16(); columns > 0; columns--) {
      const length = fields.int32()
      if (length !== -1) fields.skip(length)
    }
  },
  E: report,
  G: copyFormats,
  H: copyFormats,
  I: nothing,
  K: (fields) => fields.skip(8),
  N: report,
  R: authentication,
  S: (fields) => {
    fields.string()
    fields.string()
  },
  T: (fields) => {
    for (let columns = fields.int16(); columns > 0; columns--) {
      fields.string()
      // Table, column, type, its size and modifier, format
      fields.skip(18)
    }
  },
  W: copyFormats,
  Z: (fields) => void fields.byte(),
  c: nothing,
  d: nothing,
  n: nothing,
  s: nothing,
  t: (fields) => fields.skip(4 * fields.int16()),
  v: nothing,
}

/**
 * Cuts what a server sends into messages that are what they say: of a kind that there is, of a length that can be, with
 * all the fields that they need to have. Bytes in, messages out: no socket. `pg` takes all of this on trust: it would wait
 * for gigabytes, search for the end of a text for ever, and throw where nobody catches.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class ServerMessages {
  readonly #onMessage: (message: Buffer) => void
  /** Of the message in progress. */
  #pieces: Buffer[] = []
  /** What its header, or all of it, still lacks. */
  #missing = HEADER_BYTES
  #hasHeader = false
  /** Of the messages since the server was last ready for a command. */
  #answerBytes = 0
  #isLetIn = false

  /** @param onMessage - gets each message, its header included */
  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage
  }

  /**
   * @param chunk - stays as it is
   * @throws {@link PbManifestError} `SERVER` when this cannot be a server's messages, or what `onMessage` throws
   */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const piece = chunk.subarray(at, at + this.#missing)
      at += piece.length
      this.#missing -= piece.length
      this.#pieces.push(piece)
      if (this.#missing === 0 && !this.#hasHeader) this.#beginMessage()
      if (this.#missing === 0) this.#endMessage()
    }
  }

  #beginMessage(): void {
    const header = Buffer.concat(this.#pieces)
    const type = header.toString('latin1', 0, 1)
    const length = header.readUInt32BE(1)
    if (!this.#isLetIn && !GREETINGS.includes(type)) throw noServer(type)
    if (layouts[type] === undefined || length < 4) throw outOfStep()
    // Of WAL there may be any amount; it does not stay here.
    if (type !== 'd') this.#answerBytes += length
    if (length > MOST_BYTES || this.#answerBytes > MOST_BYTES) throw tooMuch()
    this.#hasHeader = true
    this.#missing = length - 4
  }

  #endMessage(): void {
    const message = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#missing = HEADER_BYTES
    this.#hasHeader = false
    const type = message.toString('latin1', 0, 1)
    const content = message.subarray(HEADER_BYTES)
    layouts[type]?.(new MessageFields(content, outOfStep))
    if (type === 'R') this.#isLetIn ||= content.readInt32BE(0) === 0
    if (type === 'Z') this.#answerBytes = 0
    this.#onMessage(message)
  }
}

function nothing(): void {}

function report(fields: MessageFields): void {
  while (fields.byte() !== 0) fields.string()
}

function copyFormats(fields: MessageFields): void {
  fields.byte()
  fields.skip(2 * fields.int16())
}

const AUTHENTICATION_MD5 = 5
const AUTHENTICATION_SASL = 10

function authentication(fields: MessageFields): void {
  const method = fields.int32()
  if (method === AUTHENTICATION_MD5) fields.skip(4)
  if (method === AUTHENTICATION_SASL) while (fields.string().length > 0);
}

/** In libpq's words, also the others. */
function noServer(type: string): PbManifestError {
  const shown = /^[\x20-\x7e]$/.test(type) ? type : `\\x${Buffer.from(type, 'latin1').toString('hex')}`
  return new PbManifestError('SERVER', `expected authentication request from server, but received ${shown}`, {
    hint: 'This may not be a PostgreSQL server: look at host and port.',
  })
}

function outOfStep(): PbManifestError {
  return new PbManifestError('SERVER', 'lost synchronization with server: invalid message')
}

function tooMuch(): PbManifestError {
  return new PbManifestError('SERVER', 'lost synchronization with server: more came than an answer can have')
}
