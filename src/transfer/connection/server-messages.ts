import { PbManifestError } from '../../errors.js'
import {
  authenticationCodes,
  type BackendMessage,
  COPY_DATA,
  isBackendMessageType,
  parseBackendMessage,
} from '../wire/protocol/backend-messages.js'
import {
  type Frame,
  type FrameRules,
  HEADER_BYTES,
  MessageFraming,
} from '../wire/protocol/message-framing.js'

/** A message is kept whole, so it must not be of any size, nor may all those of one answer be. */
const MOST_BYTES = 64 * 1024 * 1024

/** What a server may say before it has let us in. */
const GREETINGS = 'REvN'

/** Who takes messages in place of `pg`. */
export interface MessageConsumer {
  /** Whether the content of CopyData is taken as it comes, in pieces of any size, and so of any length. */
  readonly consumesPieces: boolean
  /** Makes the error for what cannot be, in place of that for a server. */
  readonly outOfStep?: () => Error
  /**
   * @param message - the bytes in it are valid until this returns, or longer by agreement with whoever pushes them
   * @returns whether it was for the consumer: what was not is for `pg`
   */
  consume(message: BackendMessage): boolean
}

/**
 * Cuts what a server sends into messages that are what they say: of a kind that there is, of a length that can be, with
 * all the fields that they need to have. Bytes in, messages out: no socket. `pg` takes all of this on trust: it would wait
 * for gigabytes, search for the end of a text for ever, and throw where nobody catches.
 */
export class ServerMessages {
  /** Whoever is set here is asked first. */
  consumer: MessageConsumer | undefined
  readonly #onMessage: (message: BackendMessage, frame: Frame) => void
  readonly #framing = new MessageFraming()
  /** Of the messages since the server was last ready for a command, but for those that were taken. */
  #answerBytes = 0
  #isLetIn = false

  /** @param onMessage - gets each message that is not taken */
  constructor(onMessage: (message: BackendMessage, frame: Frame) => void) {
    this.#onMessage = onMessage
  }

  /**
   * @param chunk - stays as it is until this returns
   * @throws {@link PbManifestError} `SERVER` when this cannot be a server's messages, or what consumer and `onMessage` throw
   */
  push(chunk: Buffer): void {
    this.#framing.push(chunk)
    for (;;) {
      const frame = this.#framing.take(this.#rules)
      if (frame === undefined) return
      this.#accept(frame)
    }
  }

  #accept(frame: Frame): void {
    const { type, content } = frame
    const message = parseBackendMessage(type, content, this.#outOfStep)
    if (message.type === 'authentication') this.#isLetIn ||= message.code === authenticationCodes.ok
    if (message.type === 'ready-for-query') this.#answerBytes = 0
    if (this.consumer?.consume(message) === true) return
    // Of WAL there may be any amount; it does not stay here.
    if (message.type !== 'copy-data') this.#answerBytes += HEADER_BYTES + content.length
    this.#onMessage(message, frame)
  }

  readonly #rules: FrameRules = {
    requireType: (type) => {
      if (!this.#isLetIn && !GREETINGS.includes(type)) throw noServer(type)
      if (!isBackendMessageType(type)) throw this.#outOfStep()
    },
    requireLength: (type, bytes) => {
      if (bytes < 0) throw this.#outOfStep()
      if (this.#rules.isStreamed(type) && bytes < 2 ** 31) return
      if (bytes > MOST_BYTES || (type !== COPY_DATA && this.#answerBytes + bytes > MOST_BYTES)) {
        throw (this.consumer?.outOfStep ?? tooMuch)()
      }
    },
    isStreamed: (type) => type === COPY_DATA && this.consumer?.consumesPieces === true,
  }

  readonly #outOfStep = (): Error => (this.consumer?.outOfStep ?? outOfStep)()
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
