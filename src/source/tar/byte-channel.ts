import { once } from 'node:events'
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  type TransferListItem,
} from 'node:worker_threads'
import type { Claims } from '../../threads/claims.js'
import { SharedCount } from '../../threads/wake-up.js'
import { SourceReadError } from '../backup-source.js'
import { ArchiveNotThereError } from './archive-place.js'

/** How many pieces may be on their way. A pipe's are of 64 KiB. */
const MAX_UNDERWAY = 64

/** How often a thread that waits looks whether anybody still wants to know, in milliseconds. */
const INTERVAL_MS = 50

/** Through which a thread that reads synchronously gets the bytes of an archive from the main thread. */
export interface ByteChannel {
  readonly port: MessagePort
  /** Int32: counts what was sent; see `SharedCount`. */
  readonly sent: SharedArrayBuffer
}

type Piece =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  /** An error does not cross threads as what it is. */
  | {
      readonly type: 'failure'
      readonly isNotThere: boolean
      readonly message: string
      readonly detail: string | undefined
    }

/**
 * Sends bytes to a thread, no faster than it takes them. A {@link SourceReadError} is thrown there.
 *
 * @param open - begins; its signal fires when the thread wants no more
 * @throws any other error of the chunks
 */
export async function sendBytes(
  { port, sent }: ByteChannel,
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
): Promise<void> {
  const closed = new AbortController()
  const { signal } = closed
  const count = new SharedCount(new Int32Array(sent))
  const flow = { underway: 0 }
  port.on('message', () => flow.underway--)
  port.once('close', () => closed.abort())
  const post = (piece: Piece, transfer: TransferListItem[] = []): void => {
    port.postMessage(piece, transfer)
    count.add()
  }
  try {
    for await (const bytes of open(signal)) {
      if (signal.aborted) return
      // The thread takes the memory over; that of a small piece may be shared with others.
      const copy = Uint8Array.from(bytes)
      post({ type: 'bytes', bytes: copy }, [copy.buffer])
      flow.underway++
      while (flow.underway >= MAX_UNDERWAY) await once(port, 'message', { signal })
    }
    post({ type: 'end' })
  } catch (error) {
    if (signal.aborted) return
    if (!(error instanceof SourceReadError)) throw error
    const isNotThere = error instanceof ArchiveNotThereError
    post({ type: 'failure', isNotThere, message: error.message, detail: error.detail })
  }
}

/**
 * Receives what {@link sendBytes} sends; the thread sleeps while there is nothing.
 *
 * @param request - asks the main thread for the bytes; takes the port over
 * @throws {@link SourceReadError}, {@link Abandoned}
 */
export function* receiveBytes(
  request: (channel: ByteChannel) => void,
  claims: Claims,
): Generator<Buffer, void, undefined> {
  const { port1: port, port2 } = new MessageChannel()
  const sent = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  request({ port: port2, sent })
  const count = new SharedCount(new Int32Array(sent))
  try {
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
      if (message.type === 'failure') throw errorOf(message)
      port.postMessage('received')
      const { buffer, byteOffset, length } = message.bytes
      yield Buffer.from(buffer, byteOffset, length)
    }
  } finally {
    port.close()
  }
}

function errorOf({ isNotThere, message, detail }: Piece & { readonly type: 'failure' }): SourceReadError {
  return isNotThere ? new ArchiveNotThereError(message, detail) : new SourceReadError(message, detail)
}
