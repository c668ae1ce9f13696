import type { Connection } from 'pg'
import { PbManifestError } from '../../../errors.js'
import { formatLsn, parseLsn } from '../../../postgres/lsn.js'
import { parsePositiveUnsignedInt32 } from '../../../postgres/unsigned-int.js'
import { expectAnswer, longestSilence } from '../../connection/answer-watch.js'
import type { ReplicationClient } from '../../connection/gate/connect-replication.js'
import type { ConnectionConsumer, PgConnection } from '../../connection/pg-connection.js'
import { serverError } from '../../connection/server-error.js'
import type { BackendMessage } from '../../wire/protocol/backend-messages.js'
import { frontendMessages } from '../../wire/protocol/frontend-messages.js'
import { quote } from './wal-sender-commands.js'
import { parseWalStreamMessage, type WalStreamMessage } from './wal-stream-messages.js'

/** Why a stream ended in good order. */
export type WalStreamEnd =
  | { readonly reason: 'stopped' }
  /** The timeline ends; WAL goes on with another from here. */
  | { readonly reason: 'timeline-ended'; readonly nextTimeline: number; readonly switchLsn: bigint }

export interface WalStreamOptions {
  readonly slot: string | undefined
  readonly timeline: number
  readonly startLsn: bigint
  /** Gets every message as it comes. What it throws ends the stream. */
  readonly onMessage: (message: WalStreamMessage) => void
}

/** How long the server may take to answer that we want no more. */
const GOODBYE_MS = 5000

/**
 * One START_REPLICATION from its first to its last message. This file knows the order of messages, and nothing of files.
 *
 * To `pg` it is a query: it tells how that ends. What belongs to the copy in both directions, of which it knows nothing, is
 * taken past it.
 *
 * @see https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class WalStream implements ConnectionConsumer {
  /** Settles when the server is ready for another command, or the connection is of no more use. */
  readonly ended: Promise<WalStreamEnd>
  readonly #options: WalStreamOptions
  readonly #connection: PgConnection
  #resolve!: (end: WalStreamEnd) => void
  #reject!: (error: unknown) => void
  #isCopying = false
  #isStopping = false
  #hasSentDone = false
  #goodbye: NodeJS.Timeout | undefined
  #row: readonly (string | null)[] | undefined
  /** While something has to come. */
  #hasCome: (() => void) | undefined

  constructor(client: ReplicationClient, options: WalStreamOptions) {
    this.#options = options
    this.#connection = client.connection
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#connection.handOver(this)
    client.query(this)
  }

  /** Sends a status update, while there is somebody to read it. */
  send(payload: Buffer): void {
    if (this.#isCopying && !this.#hasSentDone) this.#connection.send(frontendMessages.copyData(payload))
  }

  /** Asks the server to stop. What it has sent meanwhile is thrown away. */
  stop(): void {
    this.#isStopping = true
    if (this.#isCopying) this.#sendDone()
    this.#goodbye ??= setTimeout(() => this.#end({ reason: 'stopped' }), GOODBYE_MS)
  }

  /** Ends it for a reason that neither server nor connection gave. */
  fail(error: unknown): void {
    this.#reject(error)
  }

  /** See `--io-timeout`; in milliseconds. */
  get longestSilence(): number | undefined {
    return longestSilence(this.#connection.stream)
  }

  pause(): void {
    this.#connection.stream.pause()
    this.#expectNothing()
  }

  resume(): void {
    this.#connection.stream.resume()
    this.#expectSomething()
  }

  // From here on: a consumer of what comes.

  readonly consumesPieces: boolean = false

  readonly arrivals: undefined

  consume(message: BackendMessage): boolean {
    switch (message.type) {
      case 'copy-both-response':
        this.#isCopying = true
        if (this.#isStopping) this.#sendDone()
        return true
      case 'copy-data':
        this.#takeCopyData(message.bytes)
        return true
      case 'copy-done':
        this.#sendDone()
        return true
      default:
        return false
    }
  }

  #takeCopyData(bytes: Buffer): void {
    if (this.#isStopping) return
    try {
      this.#options.onMessage(parseWalStreamMessage(bytes))
    } catch (error) {
      this.fail(error)
      this.stop()
    }
  }

  // From here on: what `pg` calls of a query object.

  submit(connection: Connection): void {
    this.#expectSomething()
    const { slot, startLsn, timeline } = this.#options
    const slotWords = slot === undefined ? '' : `SLOT ${quote(slot)} `
    connection.query(`START_REPLICATION ${slotWords}${formatLsn(startLsn)} TIMELINE ${timeline}`)
  }

  /** What comes when nobody waits for the end any more. */
  handleCopyData(): void {}

  handleRowDescription(): void {}

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    this.#row = fields
  }

  /** A server that shuts down says so, in the middle of the copy, and goes. */
  handleCommandComplete(): void {
    if (this.#isCopying && !this.#hasSentDone) this.fail(terminated())
  }

  handleReadyForQuery(): void {
    this.#detach()
    if (this.#isStopping) this.#end({ reason: 'stopped' })
    else this.#endOfTimeline()
  }

  handleError(error: unknown): void {
    this.#detach()
    const attempt = this.#isCopying
      ? 'could not receive data from WAL stream'
      : 'could not send replication command "START_REPLICATION"'
    this.fail(serverError(attempt, error))
  }

  /** No server of ours answers so. */
  handleCopyInResponse(): void {
    this.#detach()
    this.fail(
      new PbManifestError(
        'SERVER',
        'could not send replication command "START_REPLICATION": the server wants data',
      ),
    )
  }

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}

  #sendDone(): void {
    if (this.#hasSentDone) return
    this.#hasSentDone = true
    this.#connection.send(frontendMessages.copyDone())
  }

  /** @see src/bin/pg_basebackup/receivelog.c (`ReadEndOfStreamingResult`) */
  #endOfTimeline(): void {
    const [timelineText, lsnText] = this.#row ?? []
    const nextTimeline = parsePositiveUnsignedInt32(timelineText ?? '')
    const switchLsn = parseLsn(lsnText ?? '')
    if (nextTimeline === undefined || switchLsn === undefined) {
      this.fail(terminated())
    } else if (nextTimeline <= this.#options.timeline) {
      const { timeline } = this.#options
      const what = `server reported unexpected next timeline ${nextTimeline}, following timeline ${timeline}`
      this.fail(new PbManifestError('SERVER', what))
    } else {
      this.#end({ reason: 'timeline-ended', nextTimeline, switchLsn })
    }
  }

  #end(end: WalStreamEnd): void {
    this.#detach()
    this.#resolve(end)
  }

  #expectSomething(): void {
    this.#hasCome ??= expectAnswer(this.#connection.stream)
  }

  #expectNothing(): void {
    this.#hasCome?.()
    this.#hasCome = undefined
  }

  #detach(): void {
    this.#expectNothing()
    clearTimeout(this.#goodbye)
    this.#connection.handOver(undefined)
  }
}

function terminated(): PbManifestError {
  return new PbManifestError('SERVER', 'replication stream was terminated before stop point')
}
