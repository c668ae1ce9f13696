import { backendMessages } from '../protocol/backend-messages.js'
import { brokenProtocol, WireError } from '../wire-error.js'
import type { WireColumn, WireCopy, WireHandler, WireNotice, WireReply, WireRow } from '../wire-handler.js'
import type { WireChannel } from './wire-channel.js'
import { Yielder } from '../../../files/yielder.js'

interface QueryContext {
  readonly channel: WireChannel
  readonly handler: WireHandler
  /** Fires on a cancel request. */
  readonly cancelled: AbortController
  /** Of the next query, which may come while this one runs. */
  readonly maxMessageBytes: number
  /** See `WireLimits`. */
  readonly heartbeatMs: number
  /** Told of what is a fault of ours. */
  readonly onInternalError: (error: unknown) => void
}

/**
 * Has a query answered, its error included.
 *
 * @throws {@link WireError} `FATAL`: the connection cannot go on
 */
export async function runQuery(text: Buffer, context: QueryContext): Promise<void> {
  const { channel, handler, cancelled, maxMessageBytes, heartbeatMs } = context
  const reply = new QueryReply(channel, cancelled.signal, maxMessageBytes)
  const stop = (): void => cancelled.abort(channel.reason)
  channel.over.addEventListener('abort', stop, { once: true })
  const listened = channel.listen(maxMessageBytes)
  // A query may wait for a checkpoint: it is a client's only way to tell us from one who hangs, and keeps the connection
  // from being cut as idle. A ParameterStatus may come at any time, and one that says nothing new means nothing.
  const heartbeat = setInterval(
    () => channel.send(backendMessages.parameterStatus('client_encoding', 'UTF8')),
    heartbeatMs,
  )
  try {
    if (channel.over.aborted) stop()
    await handler.query(text, reply, cancelled.signal)
    reply.finish()
  } catch (error) {
    reply.abandon()
    // In place of whatever became of the query then.
    if (channel.reason !== undefined) throw channel.reason
    const response = toWireError(error, context)
    if (response.severity === 'FATAL') throw response
    channel.send(backendMessages.errorResponse(response))
  } finally {
    clearInterval(heartbeat)
    listened()
    channel.over.removeEventListener('abort', stop)
  }
}

/** What nobody foresaw is told to us, not to the client. */
function toWireError(error: unknown, { cancelled, onInternalError }: QueryContext): WireError {
  if (error instanceof WireError) return error
  if (cancelled.signal.aborted) return new WireError('57014', 'canceling statement due to user request')
  onInternalError(error)
  return internalError(error)
}

/** A fault of ours. */
export function internalError(cause: unknown): WireError {
  return new WireError('XX000', 'internal error', {
    hint: 'The log of the server says more.',
    cause,
  })
}

/** Rows are sent in bundles of about this size. */
const ROW_BUNDLE_BYTES = 65_536
/** Clients keep a whole CopyData in memory. */
const MAX_COPY_DATA_BYTES = 1 << 20

/** Writes the response to one query, and sees to it that it is one. */
class QueryReply implements WireReply {
  readonly #channel: WireChannel
  readonly #signal: AbortSignal
  #state: 'empty' | 'in a result' | 'complete' | 'over' = 'empty'

  readonly #maxMessageBytes: number

  /**
   * @param signal - ends what we do on our own: going through rows
   * @param maxMessageBytes - of what the client sends meanwhile
   */
  constructor(channel: WireChannel, signal: AbortSignal, maxMessageBytes: number) {
    this.#channel = channel
    this.#signal = signal
    this.#maxMessageBytes = maxMessageBytes
  }

  async rows(columns: readonly WireColumn[], rows: Iterable<WireRow>, tag: string): Promise<void> {
    this.#begin()
    const yielder = new Yielder(this.#signal)
    let bundle = [backendMessages.rowDescription(columns)]
    let bundleBytes = 0
    for (const row of rows) {
      const dataRow = backendMessages.dataRow(row)
      bundle.push(dataRow)
      bundleBytes += dataRow.length
      if (bundleBytes >= ROW_BUNDLE_BYTES) {
        await this.#channel.write(...bundle)
        bundle = []
        bundleBytes = 0
      }
      if (yielder.isDue) await yielder.yield()
    }
    await this.#complete(tag, bundle)
  }

  async complete(tag: string): Promise<void> {
    this.#begin()
    await this.#complete(tag, [])
  }

  copyOut(): WireCopy {
    this.#begin()
    let opening = [backendMessages.copyOutResponse()]
    const takeOpening = (): Buffer[] => {
      const taken = opening
      opening = []
      return taken
    }
    return {
      write: async (bytes) => {
        this.#require('in a result')
        for (let at = 0; at < bytes.length; at += MAX_COPY_DATA_BYTES) {
          const piece = bytes.subarray(at, at + MAX_COPY_DATA_BYTES)
          await this.#channel.write(...takeOpening(), backendMessages.copyDataHeader(piece.length), piece)
        }
      },
      end: async (tag) => {
        await this.#complete(tag, [...takeOpening(), backendMessages.copyDone()])
      },
    }
  }

  async *copyIn(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    this.#require('empty')
    const channel = this.#channel
    const listenAgain = channel.expect()
    await channel.write(backendMessages.copyInResponse())
    for (;;) {
      const message = await channel.readMessageUntil(this.#maxMessageBytes, signal)
      if (message === undefined) throw canceled('canceling statement due to user request')
      // Others wait for the end of a COPY, as at a server.
      if (message.type === 'flush' || message.type === 'sync') continue
      if (message.type !== 'copy') throw brokenProtocol('unexpected message type during COPY from stdin')
      if (message.part === 'fail') throw canceled(`COPY from stdin failed: ${reasonOf(message.bytes)}`)
      if (message.part === 'done') break
      yield message.bytes
    }
    listenAgain()
  }

  notice(notice: WireNotice): void {
    if (this.#state !== 'over') this.#channel.send(backendMessages.noticeResponse(notice))
  }

  /** The query has ended by itself. */
  finish(): void {
    this.#require('complete')
    this.#state = 'over'
  }

  /** The query has failed: what comes now is too late. */
  abandon(): void {
    this.#state = 'over'
  }

  #begin(): void {
    if (this.#state !== 'empty') this.#require('complete')
    this.#state = 'in a result'
  }

  async #complete(tag: string, before: readonly Buffer[]): Promise<void> {
    this.#require('in a result')
    await this.#channel.write(...before, backendMessages.commandComplete(tag))
    this.#state = 'complete'
  }

  #require(state: 'empty' | 'in a result' | 'complete'): void {
    if (this.#state !== state) throw new Error(`a reply must be ${state}, but it is ${this.#state}`)
  }
}

function canceled(message: string): WireError {
  return new WireError('57014', message)
}

/** What a client says of why it gives up: text, and a NUL. */
function reasonOf(bytes: Buffer): string {
  const nul = bytes.indexOf(0)
  return bytes.toString('utf8', 0, nul === -1 ? bytes.length : nul)
}
