import type { Client } from 'pg'
import type { PbManifestError } from '../../../errors.js'
import { Arrivals, type Flow, flowOf } from '../../connection/arrivals.js'
import { cancelRequest } from '../../connection/cancel-request.js'
import { destroyConnection, endConnection } from '../../connection/connect.js'
import type { ConnectionOptions } from '../../connection/connection-options.js'
import { connectAgent } from '../../connection/gate/connect-agent.js'
import { explainLoss } from '../../connection/keep-alive.js'
import { ReusingSocket } from '../../connection/reusing-socket.js'
import type { SessionNotice } from '../../session/backup-session.js'
import { lostAgent, reportedError } from './agent-error.js'
import type { Answer, BackendMessage } from './backend-message.js'
import { BackendMessageParser } from './backend-message-parser.js'

export interface AgentConnectionOptions {
  readonly onNotice: (notice: SessionNotice) => void
  /** Is told when the connection ends otherwise than by us, also while it is idle. */
  readonly onLost: (error: PbManifestError) => void
  readonly signal: AbortSignal
}

/**
 * A connection to an agent, for one command at a time.
 *
 * `pg` connects, with all of libpq's ways to do so. From then on we read for ourselves: it would copy each byte of a COPY
 * twice, read on while nobody takes what it read, and spoil names that are not UTF-8.
 */
export class AgentConnection {
  readonly client: Client
  readonly #options: AgentConnectionOptions
  readonly #flow: Flow
  /** The answers to the command that runs. */
  #answers: Arrivals<Answer> | undefined
  #isClosing = false
  #loss: PbManifestError | undefined

  private constructor(client: Client, options: AgentConnectionOptions) {
    this.client = client
    this.#options = options
    this.#flow = flowOf(client.connection.stream)
    client.on('error', (error: unknown) => this.#lose(explainLoss(lostAgent(error), client)))
    this.#takeOver()
  }

  /** @throws {@link PbManifestError} `SERVER` or `ABORTED` */
  static async open(
    connection: ConnectionOptions,
    options: AgentConnectionOptions,
  ): Promise<AgentConnection> {
    return new AgentConnection(await connectAgent(connection, options.signal), options)
  }

  get isBusy(): boolean {
    return this.#answers !== undefined
  }

  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /**
   * Sends a command, when the one before it is over, and gives the answers to it.
   *
   * @throws {@link PbManifestError} `SERVER`: what the agent reported, or the loss of the connection; `ABORTED`
   */
  async *run(text: string, signal?: AbortSignal): AsyncGenerator<readonly Answer[], void, undefined> {
    while (this.#answers !== undefined) await this.#answers.over
    if (this.#loss !== undefined) throw this.#loss
    const answers = new Arrivals<Answer>(this.#flow)
    this.#answers = answers
    this.client.connection.query(text)
    yield* answers.batches(signal)
  }

  /** Asks the agent to end the command that runs. Never throws. */
  async cancel(): Promise<void> {
    await cancelRequest(this.client)
  }

  /** Says goodbye. Never throws. */
  async close(): Promise<void> {
    this.#isClosing = true
    await endConnection(this.client)
  }

  /** Goes without a goodbye, which the agent takes for a failure. */
  destroy(): void {
    this.#isClosing = true
    destroyConnection(this.client)
  }

  #takeOver(): void {
    const parser = new BackendMessageParser((message) => this.#accept(message))
    const { stream } = this.client.connection
    stream.removeAllListeners('data')
    if (stream instanceof ReusingSocket) stream.reuse()
    stream.on('data', (chunk: Buffer) => {
      // Its end may be in the chunk.
      const answers = this.#answers
      try {
        parser.push(chunk)
      } catch (error) {
        stream.destroy(error as Error)
      }
      if (answers === undefined) this.#flow.release(1)
      else answers.endChunk()
    })
    stream.on('close', () => {
      this.#lose(explainLoss(lostAgent(new Error('Connection terminated')), this.client))
    })
  }

  #accept(message: BackendMessage): void {
    switch (message.type) {
      case 'notice':
        return this.#options.onNotice(message.notice)
      case 'error': {
        const error = reportedError(message.error)
        this.#answers?.fail(error)
        if (message.error.isFatal) this.#lose(error)
        return
      }
      case 'ready':
        return this.#endAnswers()
      case 'columns':
      case 'row':
      case 'data':
      case 'complete':
        return this.#answers?.push(message, message.type === 'data' ? message.bytes.length : 0)
      default:
        return message satisfies never
    }
  }

  #lose(error: PbManifestError): void {
    if (this.#loss === undefined && !this.#isClosing) this.#options.onLost(error)
    this.#loss ??= error
    this.#answers?.fail(this.#loss)
    this.#endAnswers()
  }

  #endAnswers(): void {
    const answers = this.#answers
    this.#answers = undefined
    answers?.end()
  }
}
