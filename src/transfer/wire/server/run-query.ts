import { backendMessages } from '../protocol/backend-messages.js'
import { WireError } from '../wire-error.js'
import type { WireHandler } from '../wire-handler.js'
import { QueryReply } from './query-reply.js'
import type { WireChannel } from './wire-channel.js'

export interface QueryContext {
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
