const INITIAL_BYTES = 8192
/** A larger buffer is given back when it is empty. */
const KEPT_BYTES = 65_536

/** Bytes that came and are not yet read. Memory and work are linear in the bytes, however they are cut. */
export class ByteQueue {
  #buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  /** How many bytes are waiting. */
  get length(): number {
    return this.#end - this.#start
  }

  /** Copies them. */
  push(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** The byte at this place, which has to be there. */
  peekByte(offset: number): number {
    return this.#buffer.readUInt8(this.#start + offset)
  }

  /** The signed 32-bit number at this place, which has to be there. */
  peekInt32(offset: number): number {
    return this.#buffer.readInt32BE(this.#start + offset)
  }

  /** Takes as many bytes, which have to be there. */
  take(length: number): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(this.#start, this.#start + length))
    this.#start += length
    if (this.#start === this.#end) this.#reset()
    return bytes
  }

  #makeRoom(more: number): void {
    if (this.#end + more <= this.#buffer.length) return
    const { length } = this
    const isRoomy = 2 * (length + more) <= this.#buffer.length
    const target = isRoomy ? this.#buffer : Buffer.alloc(Math.max(INITIAL_BYTES, 2 * (length + more)))
    this.#buffer.copy(target, 0, this.#start, this.#end)
    this.#buffer = target
    this.#start = 0
    this.#end = length
  }

  #reset(): void {
    this.#start = 0
    this.#end = 0
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.alloc(0)
  }
}
