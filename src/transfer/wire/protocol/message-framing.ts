/** A message's length counts itself, but not the byte that says which message it is. */
const LENGTH_BYTES = 4
export const HEADER_BYTES: number = 1 + LENGTH_BYTES

/** A message, or, where it is streamed, a piece of its content. */
export interface Frame {
  /** The letter that says which message it is. */
  readonly type: string
  /** A slice of what was pushed, if it lay there in one piece. Valid until more is pushed. */
  readonly content: Buffer
}

/** What one side may send, and how it is taken. Who sends what must not be is refused as soon as it shows. */
export interface FrameRules {
  /** Throws when there is no such message, or not now. */
  readonly requireType: (type: string) => void
  /** Throws when its content cannot be so long. */
  readonly requireLength: (type: string, contentBytes: number) => void
  /** Whether its content is taken as it comes, in pieces of any size. */
  readonly isStreamed: (type: string) => boolean
}

/**
 * Cuts the bytes of one side into messages. Bytes in, messages out when they are asked for: no socket, and no opinion on
 * what a message says. Content is copied only where a chunk's end cuts it.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class MessageFraming {
  /** The beginning of a message, from earlier chunks. */
  readonly #kept = new ByteQueue()
  #chunk: Buffer = Buffer.alloc(0)
  #at = 0
  /** What the content of a streamed message still lacks. */
  #missing = 0
  #streamedType = ''

  /** How many bytes came that belong to nothing that was taken. */
  get pendingBytes(): number {
    return this.#kept.length + this.#chunk.length - this.#at
  }

  /** @param chunk - stays as it is until everything is taken */
  push(chunk: Buffer): void {
    this.#keepRest()
    this.#chunk = chunk
    this.#at = 0
  }

  /**
   * Takes the next message, or the next piece of one. After `undefined`, everything that came is taken or copied.
   *
   * @throws what the rules throw
   */
  take(rules: FrameRules): Frame | undefined {
    while (this.#missing === 0) {
      if (!this.#has(1)) return undefined
      const type = String.fromCharCode(this.#peekByte())
      rules.requireType(type)
      if (!this.#has(HEADER_BYTES)) return undefined
      const contentBytes = this.#peekUInt32(1) - LENGTH_BYTES
      rules.requireLength(type, contentBytes)
      if (!rules.isStreamed(type)) {
        if (!this.#has(HEADER_BYTES + contentBytes)) return undefined
        return { type, content: this.#take(HEADER_BYTES + contentBytes).subarray(HEADER_BYTES) }
      }
      this.#take(HEADER_BYTES)
      this.#missing = contentBytes
      this.#streamedType = type
    }
    return this.#takePiece()
  }

  /**
   * Takes the next message of those without a type, which stand before all others: what follows its length.
   *
   * @param requireLength - throws when it cannot be so long, its length included
   */
  takeUntyped(requireLength: (bytes: number) => void): Buffer | undefined {
    if (!this.#has(LENGTH_BYTES)) return undefined
    const bytes = this.#peekUInt32(0)
    requireLength(bytes)
    return this.#has(bytes) ? this.#take(bytes).subarray(LENGTH_BYTES) : undefined
  }

  #takePiece(): Frame | undefined {
    const end = Math.min(this.#chunk.length, this.#at + this.#missing)
    if (end === this.#at) return undefined
    const content = this.#chunk.subarray(this.#at, end)
    this.#missing -= content.length
    this.#at = end
    return { type: this.#streamedType, content }
  }

  /** Whether so many bytes are there, in one piece; if not, all that are there are copied. */
  #has(bytes: number): boolean {
    if (this.#kept.length === 0 && this.#chunk.length - this.#at >= bytes) return true
    const end = Math.min(this.#chunk.length, this.#at + Math.max(0, bytes - this.#kept.length))
    this.#kept.push(this.#chunk.subarray(this.#at, end), bytes)
    this.#at = end
    return this.#kept.length >= bytes
  }

  #peekByte(): number {
    return this.#kept.length === 0 ? this.#chunk.readUInt8(this.#at) : this.#kept.peekByte()
  }

  #peekUInt32(offset: number): number {
    return this.#kept.length === 0
      ? this.#chunk.readUInt32BE(this.#at + offset)
      : this.#kept.peekUInt32(offset)
  }

  #take(bytes: number): Buffer {
    if (this.#kept.length > 0) return this.#kept.take(bytes)
    this.#at += bytes
    return this.#chunk.subarray(this.#at - bytes, this.#at)
  }

  #keepRest(): void {
    this.#kept.push(this.#chunk.subarray(this.#at))
    this.#at = this.#chunk.length
  }
}

/** A message: its type, its length, its content. Not for bulk data, for the content is copied. */
export function formatMessage(type: string, ...content: readonly Uint8Array[]): Buffer {
  const contentBytes = content.reduce((total, { length }) => total + length, 0)
  return Buffer.concat([formatHeader(type, contentBytes), ...content])
}

/** What stands before the content of a message. */
export function formatHeader(type: string, contentBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.write(type, 0, 'latin1')
  header.writeInt32BE(contentBytes + LENGTH_BYTES, 1)
  return header
}

/** A message without a type. */
export function formatUntyped(...content: readonly Uint8Array[]): Buffer {
  // What has no type begins where the others have their length.
  return formatMessage('?', ...content).subarray(1)
}

const INITIAL_BYTES = 8192
/** A larger buffer is given away when it is empty. */
const KEPT_BYTES = 65_536
/** So much memory is taken on the word of a header. */
const MOST_RESERVED = 1 << 20

/** Bytes that came and are not yet read. Memory and work are linear in the bytes, however they are cut. */
class ByteQueue {
  #buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  /** How many bytes are waiting. */
  get length(): number {
    return this.#end - this.#start
  }

  /**
   * Copies them.
   *
   * @param expected - how many are to be there in the end
   */
  push(bytes: Uint8Array, expected = 0): void {
    if (bytes.length === 0) return
    this.#makeRoom(bytes.length, expected)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** The first byte, which has to be there. */
  peekByte(): number {
    return this.#buffer.readUInt8(this.#start)
  }

  /** The number at this place, which has to be there. */
  peekUInt32(offset: number): number {
    return this.#buffer.readUInt32BE(this.#start + offset)
  }

  /** Takes as many bytes, which have to be there, into memory of their own. */
  take(length: number): Buffer {
    const bytes = this.#buffer.subarray(this.#start, this.#start + length)
    this.#start += length
    const isEmpty = this.#start === this.#end
    if (isEmpty) {
      this.#start = 0
      this.#end = 0
    }
    if (!isEmpty || this.#buffer.length <= KEPT_BYTES) return Buffer.from(bytes)
    this.#buffer = Buffer.alloc(0)
    return bytes
  }

  #makeRoom(more: number, expected: number): void {
    if (this.#end + more <= this.#buffer.length) return
    const needed = this.length + more
    const isRoomy = 2 * needed <= this.#buffer.length
    const size = Math.max(
      INITIAL_BYTES,
      needed <= expected && expected <= MOST_RESERVED ? expected : 2 * needed,
    )
    const target = isRoomy ? this.#buffer : Buffer.allocUnsafeSlow(size)
    const { length } = this
    this.#buffer.copy(target, 0, this.#start, this.#end)
    this.#buffer = target
    this.#start = 0
    this.#end = length
  }
}
