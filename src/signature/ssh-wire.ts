/** Bytes that are not what a format of SSH allows. Whoever knows where they come from makes a problem or an error of it. */
export class SshFormatError extends Error {}

/**
 * Reads the values of which SSH's formats are made, one after the other.
 *
 * @see RFC 4251, section 5
 */
export class SshReader {
  #at = 0
  readonly #bytes: Buffer
  readonly #what: string

  /** @param what - what the bytes are, for messages: `signature` */
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  /** @throws {@link SshFormatError}, as all that follow, when there are not so many bytes */
  bytes(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new SshFormatError(`the ${this.#what} is cut`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE()
  }

  string(): Buffer {
    return this.bytes(this.uint32())
  }

  /** A name: of an algorithm, a cipher, a curve. */
  name(): string {
    const text = this.string().toString('latin1')
    if (!/^[!-~]{1,64}$/.test(text)) throw new SshFormatError(`a name in the ${this.#what} is none`)
    return text
  }

  /** A positive number, without the zero that may stand before it. There is one way to write it. */
  mpint(): Buffer {
    const bytes = this.string()
    const [first = 0x80, second = 0] = bytes
    if (first >= 0x80 || (first === 0 && second < 0x80)) {
      throw new SshFormatError(`a number in the ${this.#what} is not written as it should be`)
    }
    return first === 0 ? bytes.subarray(1) : bytes
  }

  /** @throws when there is more */
  end(): void {
    if (this.#at < this.#bytes.length) throw new SshFormatError(`there is more behind the ${this.#what}`)
  }
}

export function sshUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Text, or bytes, with its length before it. */
export function sshString(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  return Buffer.concat([sshUint32(bytes.length), bytes])
}

/** Base64 as it is written, and only so: Node passes over whatever is none. `undefined` when it is not. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
