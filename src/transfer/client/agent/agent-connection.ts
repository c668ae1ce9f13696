import type { Client } from 'pg'
import type { PbManifestError } from '../../../errors.js'
import { cancelRequest } from '../../connection/cancel-request.js'
import { destroyConnection } from '../../connection/connect.js'
import type { ConnectionOptions } from '../../connection/connection-options.js'
import { ReusingSocket } from '../../connection/reusing-socket.js'
import type { SessionNotice } from '../../session/backup-session.js'
import { lostAgent, reportedError } from './agent-error.js'
import type { Answer, BackendMessage } from './backend-message.js'
import { BackendMessageParser } from './backend-message-parser.js'
import { connectAgent } from './connect-agent.js'
import { Exchange, type Flow } from './exchange.js'

/** How long the agent may take to say goodbye. */
const GOODBYE_MS = 5000

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
  #exchange: Exchange | undefined
  #isClosing = false
  #loss: PbManifestError | undefined

  private constructor(client: Client, options: AgentConnectionOptions) {
    this.client = client
    this.#options = options
    client.on('error', (error: unknown) => this.#lose(lostAgent(error)))
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
    return this.#exchange !== undefined
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
    while (this.#exchange !== undefined) await this.#exchange.over
    if (this.#loss !== undefined) throw this.#loss
    const exchange = new Exchange(this.#flow)
    this.#exchange = exchange
    this.client.connection.query(text)
    yield* exchange.answers(signal)
  }

  /** Asks the agent to end the command that runs. Never throws. */
  async cancel(): Promise<void> {
    await cancelRequest(this.client)
  }

  /** Says goodbye. Never throws. */
  async close(): Promise<void> {
    this.#isClosing = true
    const timer = setTimeout(() => this.destroy(), GOODBYE_MS)
    await this.client.end().catch(() => {})
    clearTimeout(timer)
  }

  /** Goes without a goodbye, which the agent takes for a failure. */
  destroy(): void {
    this.#isClosing = true
    destroyConnection(this.client)
  }

  get #stream(): Client['connection']['stream'] {
    return this.client.connection.stream
  }

  readonly #flow: Flow = {
    pause: () => this.#stream.pause(),
    resume: () => this.#stream.resume(),
    release: (chunks) => {
      if (this.#stream instanceof ReusingSocket) this.#stream.release(chunks)
    },
  }

  #takeOver(): void {
    const parser = new BackendMessageParser((message) => this.#accept(message))
    const stream = this.#stream
    stream.removeAllListeners('data')
    if (stream instanceof ReusingSocket) stream.reuse()
    stream.on('data', (chunk: Buffer) => {
      // Its end may be in the chunk.
      const exchange = this.#exchange
      try {
        parser.push(chunk)
      } catch (error) {
        stream.destroy(error as Error)
      }
      if (exchange === undefined) this.#flow.release(1)
      else exchange.endChunk()
    })
    stream.on('close', () => this.#lose(lostAgent(new Error('Connection terminated'))))
  }

  #accept(message: BackendMessage): void {
    switch (message.type) {
      case 'notice':
        return this.#options.onNotice(message.notice)
      case 'error': {
        const error = reportedError(message.error)
        this.#exchange?.fail(error)
        if (message.error.isFatal) this.#lose(error)
        return
      }
      case 'ready':
        return this.#endExchange()
      case 'columns':
      case 'row':
      case 'data':
      case 'complete':
        return this.#exchange?.push(message)
      default:
        return message satisfies never
    }
  }

  #lose(error: PbManifestError): void {
    if (this.#loss === undefined && !this.#isClosing) this.#options.onLost(error)
    this.#loss ??= error
    this.#exchange?.fail(this.#loss)
    this.#endExchange()
  }

  #endExchange(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.end()
  }
}
