import { backendMessages } from '../protocol/backend-messages.js'
import type { FrontendMessage } from '../protocol/frontend-messages.js'
import { badMessage, brokenProtocol, WireError } from '../wire-error.js'
import type { WireHandler } from '../wire-handler.js'
import { idleTimeout } from './connection-errors.js'
import { runQuery } from './run-query.js'
import type { WireChannel } from './wire-channel.js'

export interface AnswerContext {
  readonly channel: WireChannel
  readonly handler: WireHandler
  readonly maxMessageBytes: number
  /** 0: none. */
  readonly idleTimeoutMs: number
  readonly heartbeatMs: number
  /** Told of each query, with what cancels it; and, with `undefined`, of its end. */
  readonly onQuery: (cancelled: AbortController | undefined) => void
  readonly onInternalError: (error: unknown) => void
}

/** What becomes of a message: whether the client may send the next query, or has to say Sync first. */
type Next = 'ready' | 'go on' | 'skip until sync'

/**
 * Answers one message after the other, until the client says Terminate. Of the extended protocol it knows as much as a
 * walsender: that it has none.
 *
 * @throws {@link WireError} `FATAL`
 * @see PostgresMain in PostgreSQL's src/backend/tcop/postgres.c
 */
export async function answerMessages(context: AnswerContext): Promise<void> {
  const { channel } = context
  let next: Next = 'ready'
  for (;;) {
    // Waiting keeps a client that asks and does not read from filling our memory.
    if (next === 'ready') await channel.write(backendMessages.readyForQuery())
    const isSkipping: boolean = next === 'skip until sync'
    const message = await readMessage(context, isSkipping)
    if (message?.type === 'terminate') return
    if (isSkipping && message?.type !== 'sync') continue
    next = message === undefined ? 'ready' : await answer(message, context)
  }
}

/** `undefined` when the message was wrong; unless it is to be skipped anyway, the client has been told. */
async function readMessage(
  context: AnswerContext,
  isSkipping: boolean,
): Promise<FrontendMessage | undefined> {
  const { channel, maxMessageBytes } = context
  const timer = watchIdleness(context)
  try {
    return await channel.readMessage(maxMessageBytes)
  } catch (error) {
    if (!(error instanceof WireError) || error.severity === 'FATAL') throw error
    if (!isSkipping) channel.send(backendMessages.errorResponse(error))
    return undefined
  } finally {
    clearInterval(timer)
  }
}

function watchIdleness({ channel, handler, idleTimeoutMs }: AnswerContext): NodeJS.Timeout | undefined {
  if (idleTimeoutMs === 0) return undefined
  return setInterval(() => {
    if (handler.mayStayIdle?.() !== true) channel.interrupt(idleTimeout())
  }, idleTimeoutMs)
}

async function answer(
  message: Exclude<FrontendMessage, { type: 'terminate' }>,
  context: AnswerContext,
): Promise<Next> {
  const { channel } = context
  switch (message.type) {
    case 'query':
      await answerQuery(message.text, context)
      return 'ready'
    case 'sync':
      return 'ready'
    case 'extended-query':
      refuse(channel, 'extended query protocol not supported in a replication connection')
      return 'skip until sync'
    case 'function-call':
      refuse(channel, 'fastpath function calls not supported in a replication connection')
      return 'ready'
    case 'flush':
    case 'copy':
      // The client may still be sending data of a COPY that has failed.
      return 'go on'
    case 'authentication':
      throw brokenProtocol(`invalid frontend message type ${String('p'.charCodeAt(0))}`)
    default:
      return message satisfies never
  }
}

async function answerQuery(text: Buffer, context: AnswerContext): Promise<void> {
  if (isEmpty(text)) {
    context.channel.send(backendMessages.emptyQueryResponse())
    return
  }
  const cancelled = new AbortController()
  context.onQuery(cancelled)
  try {
    await runQuery(text, { ...context, cancelled })
  } finally {
    context.onQuery(undefined)
  }
}

function isEmpty(text: Buffer): boolean {
  return text.every(isBlank)
}

/** White space or a semicolon. */
function isBlank(byte: number): boolean {
  return byte === 0x3b || byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}

function refuse(channel: WireChannel, message: string): void {
  channel.send(backendMessages.errorResponse(badMessage(message)))
}
