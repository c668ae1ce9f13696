import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { Claims } from '../../threads/claims.js'
import { SharedCount } from '../../threads/wake-up.js'
import type { ByteChannel } from './archive-messages.js'

/** How many pieces may be on their way. A pipe's are of 64 KiB. */
const MAX_UNDERWAY = 64

/** How often a thread that waits looks whether anybody still wants to know, in milliseconds. */
const INTERVAL_MS = 50

type Piece = { readonly type: 'bytes'; readonly bytes: Uint8Array } | { readonly type: 'end' }

/** Sends a stream to a thread that reads it synchronously. */
export class ByteSender {
  /** For the thread that receives; it takes the port over. */
  readonly channel: ByteChannel
  readonly #port: MessagePort
  readonly #sent: SharedCount
  #underway = 0
  readonly #closed = new AbortController()

  constructor() {
    const { port1, port2 } = new MessageChannel()
    const sent = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    this.#port = port1
    this.#sent = new SharedCount(new Int32Array(sent))
    this.channel = { port: port2, sent }
  }

  /**
   * Sends all of the stream, no faster than it is received. Ends early, without an error, when the sender is closed.
   *
   * @throws the error of the stream
   */
  async send(stream: Readable): Promise<void> {
    this.#port.on('message', () => this.#underway--)
    try {
      for await (const bytes of stream) {
        // The thread takes the memory over; that of a small piece may be shared with others.
        const copy = Uint8Array.from(bytes as Uint8Array)
        this.#post({ type: 'bytes', bytes: copy }, [copy.buffer])
        this.#underway++
        while (this.#underway >= MAX_UNDERWAY)
          await once(this.#port, 'message', { signal: this.#closed.signal })
      }
    } catch (error) {
      if (!this.#closed.signal.aborted) throw error
    }
    this.#post({ type: 'end' })
  }

  close(): void {
    this.#closed.abort()
    this.#port.close()
  }

  #post(piece: Piece, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(piece, transfer)
    this.#sent.add()
  }
}

/**
 * Receives what a {@link ByteSender} sends; the thread sleeps while there is nothing.
 *
 * @throws {@link Abandoned}
 */
export function* receiveChunks(
  { port, sent }: ByteChannel,
  claims: Claims,
): Generator<Buffer, void, undefined> {
  const count = new SharedCount(new Int32Array(sent))
  for (;;) {
    const seen = count.value
    const received: { message: Piece } | undefined = receiveMessageOnPort(port)
    if (received === undefined) {
      claims.throwIfAbandoned()
      count.sleepWhile(seen, INTERVAL_MS)
      continue
    }
    const { message } = received
    if (message.type === 'end') return
    port.postMessage('received')
    const { buffer, byteOffset, length } = message.bytes
    yield Buffer.from(buffer, byteOffset, length)
  }
}
