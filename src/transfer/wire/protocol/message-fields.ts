import { decodePathname } from '../../../files/pathname.js'

/** Reads the fields of one message, one after the other, and never beyond its end. */
export class MessageFields {
  readonly #content: Buffer
  /** Makes what is thrown when a field is missing, or makes no sense. */
  readonly outOfStep: () => Error
  #at = 0

  constructor(content: Buffer, outOfStep: () => Error) {
    this.#content = content
    this.outOfStep = outOfStep
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

  /** The bytes up to the NUL that ends them, as text. What is no UTF-8 comes as in a pathname (`files/pathname.ts`). */
  text(): string {
    const end = this.#content.indexOf(0, this.#at)
    if (end === -1) throw this.outOfStep()
    const bytes = this.bytes(end - this.#at)
    this.#at++
    return decodePathname(bytes)
  }

  bytes(length: number): Buffer {
    const end = this.#at + length
    if (length < 0 || end > this.#content.length) throw this.outOfStep()
    const bytes = this.#content.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  rest(): Buffer {
    return this.bytes(this.#content.length - this.#at)
  }

  /** As many of them as come first, as an int16. */
  list<Field>(read: () => Field): Field[] {
    return Array.from({ length: this.int16() }, read)
  }
}

export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

export function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

/** A string and its NUL. What stands after a NUL in it would be taken for something else, so there it ends. */
export function cString(text: string): Buffer {
  const nul = text.indexOf('\0')
  return Buffer.from(`${nul === -1 ? text : text.slice(0, nul)}\0`, 'utf8')
}
