import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'

/** A message of a server as it came. */
export interface RawMessage {
  readonly type: string
  readonly payload: Buffer
}

/** A client that says exactly what it is told to. */
export class RawClient {
  readonly socket: Socket
  #bytes = Buffer.alloc(0)
  #isClosed = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      socket.emit('more')
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#isClosed = true
      socket.emit('more')
    })
  }

  static async connect(where: { path: string } | { host: string; port: number }): Promise<RawClient> {
    const socket = createConnection(where)
    const client = new RawClient(socket)
    await once(socket, 'connect')
    return client
  }

  /** One that speaks through a socket which is connected already. */
  static over(socket: Socket): RawClient {
    return new RawClient(socket)
  }

  send(...bytes: readonly Uint8Array[]): this {
    this.socket.write(Buffer.concat(bytes))
    return this
  }

  /** One byte, which is no message: the answer to a request for encryption. */
  async byte(): Promise<string> {
    while (this.#bytes.length === 0 && !this.#isClosed) await this.#more()
    const byte = this.#bytes.toString('latin1', 0, 1)
    this.#bytes = this.#bytes.subarray(1)
    return byte
  }

  /** The next message; `undefined`: the connection was closed. */
  async message(): Promise<RawMessage | undefined> {
    for (;;) {
      if (this.#bytes.length >= 5 && this.#bytes.length > this.#bytes.readUInt32BE(1)) {
        const end = this.#bytes.readUInt32BE(1) + 1
        const message = { type: this.#bytes.toString('latin1', 0, 1), payload: this.#bytes.subarray(5, end) }
        this.#bytes = this.#bytes.subarray(end)
        return message
      }
      if (this.#isClosed) return undefined
      await this.#more()
    }
  }

  /** All messages up to and with one of this type, or to the end. */
  async until(type: string): Promise<RawMessage[]> {
    const messages: RawMessage[] = []
    for (;;) {
      const message = await this.message()
      if (message !== undefined) messages.push(message)
      if (message === undefined || message.type === type) return messages
    }
  }

  /** Waits for the end of the connection, whatever comes before it. */
  async drained(): Promise<void> {
    while (!this.#isClosed) await this.#more()
  }

  /** An error of the socket is news, too: `once` of Node would throw it. */
  async #more(): Promise<void> {
    await new Promise((resolve) => this.socket.once('more', resolve))
  }

  async untilClosed(): Promise<RawMessage[]> {
    return await this.until('none of this type')
  }
}

/** A message of a client. */
export function typed(type: string, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload)
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([header, bytes])
}

/** A message without a type: its length, and these numbers and strings. */
export function untyped(code: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload)
  const header = Buffer.alloc(8)
  header.writeInt32BE(bytes.length + 8, 0)
  header.writeInt32BE(code, 4)
  return Buffer.concat([header, bytes])
}

export const PROTOCOL_3: number = 3 << 16
export const sslRequest: Buffer = untyped(80877103)
export const gssencRequest: Buffer = untyped(80877104)

export function startup(parameters: Readonly<Record<string, string>>, version: number = PROTOCOL_3): Buffer {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`)
  return untyped(version, `${pairs.join('')}\0`)
}

export function query(text: string): Buffer {
  return typed('Q', `${text}\0`)
}

/** A field of an ErrorResponse or NoticeResponse. */
export function field(message: RawMessage | undefined, letter: string): string | undefined {
  const fields = message?.payload.toString('utf8').split('\0') ?? []
  return fields.find((text) => text.startsWith(letter))?.slice(1)
}
