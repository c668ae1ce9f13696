/** Reads the fields of one message of the protocol, one after the other, and never beyond its end. */
export class MessageFields {
  readonly #content: Buffer
  readonly #outOfStep: () => Error
  #at = 0

  /** @param outOfStep - makes what is thrown when the message ends before its fields do */
  constructor(content: Buffer, outOfStep: () => Error) {
    this.#content = content
    this.#outOfStep = outOfStep
  }

  get isAtEnd(): boolean {
    return this.#at === this.#content.length
  }

  byte(): number {
    return this.bytes(1).readUInt8(0)
  }

  int16(): number {
    return this.bytes(2).readUInt16BE(0)
  }

  int32(): number {
    return this.bytes(4).readInt32BE(0)
  }

  /** The bytes up to the NUL that ends them. */
  string(): Buffer {
    const end = this.#content.indexOf(0, this.#at)
    if (end === -1) throw this.#outOfStep()
    const bytes = this.bytes(end - this.#at)
    this.skip(1)
    return bytes
  }

  bytes(length: number): Buffer {
    const end = this.#at + length
    if (length < 0 || end > this.#content.length) throw this.#outOfStep()
    const bytes = this.#content.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  skip(length: number): void {
    this.bytes(length)
  }
}
