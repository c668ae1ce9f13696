import { PbManifestError } from '../../../errors.js'

/** Where the two parts of the server's messages go. Slices of what was pushed, never copies of the data. */
export interface CopyDataSinks {
  /** A piece of the content of a CopyData message. */
  readonly copyData: (piece: Buffer) => void
  /** All other messages, headers included, as they came. */
  readonly otherBytes: (bytes: Buffer) => void
}

const COPY_DATA = 'd'.charCodeAt(0)

/** One byte says which message it is, four how long it is, themselves included. */
const HEADER_BYTES = 5

/**
 * Takes CopyData messages out of the bytes that a server sends. Bytes in, pieces out: no socket.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class CopyDataSplitter {
  readonly #sinks: CopyDataSinks
  /** A header that a chunk's end cut. */
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerBytes = 0
  /** What the message in progress still lacks. */
  #remaining = 0
  #isCopyData = false

  constructor(sinks: CopyDataSinks) {
    this.#sinks = sinks
  }

  /** @throws {@link PbManifestError} `SERVER` when this cannot be a server's messages */
  push(chunk: Buffer): void {
    let at = 0
    // Other messages that lie side by side go on in one piece.
    let othersFrom = 0
    while (at < chunk.length) {
      if (this.#remaining > 0) {
        const end = Math.min(chunk.length, at + this.#remaining)
        this.#remaining -= end - at
        if (this.#isCopyData) {
          this.#sinks.copyData(chunk.subarray(at, end))
          othersFrom = end
        }
        at = end
      } else {
        const start = at
        const cutBefore = this.#headerBytes
        at = this.#takeHeader(chunk, at)
        if (this.#headerBytes < HEADER_BYTES) {
          this.#sendOthers(chunk, othersFrom, start)
          return
        }
        this.#headerBytes = 0
        this.#beginMessage()
        if (this.#isCopyData) this.#sendOthers(chunk, othersFrom, start)
        // What an earlier chunk had of the header was held back.
        else if (cutBefore > 0) this.#sinks.otherBytes(Buffer.from(this.#header.subarray(0, cutBefore)))
        if (this.#isCopyData) othersFrom = at
      }
    }
    this.#sendOthers(chunk, othersFrom, at)
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + HEADER_BYTES - this.#headerBytes)
    chunk.copy(this.#header, this.#headerBytes, at, end)
    this.#headerBytes += end - at
    return end
  }

  #beginMessage(): void {
    const length = this.#header.readInt32BE(1)
    if (length < 4)
      throw new PbManifestError('SERVER', 'lost synchronization with server: invalid message length')
    this.#remaining = length - 4
    this.#isCopyData = this.#header[0] === COPY_DATA
  }

  #sendOthers(chunk: Buffer, from: number, to: number): void {
    if (to > from) this.#sinks.otherBytes(chunk.subarray(from, to))
  }
}
