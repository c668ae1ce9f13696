import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { Arrivals } from '../../connection/arrivals.js'
import {
  cancelRequest,
  type ConnectionConsumer,
  destroyConnection,
  endConnection,
  type PgClient,
} from '../../connection/pg-connection.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import { connectAgent } from '../../connection/gate/connect-agent.js'
import { explainLoss } from '../../connection/keep-alive.js'
import type { SessionNotice } from '../../session/backup-session.js'
import { decodePathname } from '../../../files/pathname.js'
import { describeServerError, onOneLine, reportedDetails } from '../../connection/server-error.js'
import type { BackendMessage, Report } from '../../wire/protocol/backend-messages.js'
import { frontendMessages } from '../../wire/protocol/frontend-messages.js'
import { agentProtocolError, type Answer, type Value } from '../../commands/command-contract.js'

export interface AgentConnectionOptions {
  readonly onNotice: (notice: SessionNotice) => void
  /** Is told when the connection ends otherwise than by us, also while it is idle. */
  readonly onLost: (error: PbManifestError) => void
  readonly signal: AbortSignal
}

/** What comes: answers, and that the agent asks for data. */
type Arrival = Answer | { readonly type: 'copy-in' }

/** How much one CopyData has: an agent may be told to take no long messages. */
const INPUT_BYTES = 32 * 1024

/**
 * A connection to an agent, for one command at a time.
 *
 * `pg` connects, with all of libpq's ways to do so. From then on all that comes is taken past it.
 */
export class AgentConnection implements ConnectionConsumer {
  readonly client: PgClient
  readonly #options: AgentConnectionOptions
  /** The answers to the command that runs. */
  #answers: Arrivals<Arrival> | undefined
  #isClosing = false
  #loss: PbManifestError | undefined

  private constructor(client: PgClient, options: AgentConnectionOptions) {
    this.client = client
    this.#options = options
    client.on('error', (error: unknown) => this.#lose(explainLoss(lostAgent(error), client)))
    const { connection } = client
    connection.stream.on('close', () => {
      this.#lose(explainLoss(lostAgent(new Error('Connection terminated')), client))
    })
    connection.handOver(this)
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
   * @param input - what is sent when the agent asks for it; each piece may be used again when the next is taken
   * @throws {@link PbManifestError} `SERVER`: what the agent reported, or the loss of the connection; `ABORTED`
   */
  async *run(
    text: string,
    signal?: AbortSignal,
    input?: AsyncIterable<Buffer>,
  ): AsyncGenerator<readonly Answer[], void, undefined> {
    while (this.#answers !== undefined) await this.#answers.over
    if (this.#loss !== undefined) throw this.#loss
    const answers = new Arrivals<Arrival>(this.client.connection.flow)
    this.#answers = answers
    this.client.connection.send(frontendMessages.query(text))
    for await (const batch of answers.batches(signal)) {
      if (batch.some(({ type }) => type === 'copy-in')) await this.#sendInput(input, answers)
      yield batch.filter((arrival) => arrival.type !== 'copy-in')
    }
  }

  async #sendInput(input: AsyncIterable<Buffer> | undefined, answers: Arrivals<Arrival>): Promise<void> {
    if (input === undefined) throw agentProtocolError('it asks for data that there is none of')
    const { connection } = this.client
    for await (const bytes of input) {
      for (let at = 0; at < bytes.length; at += INPUT_BYTES) {
        // An agent that has found a fault does not want the rest.
        if (this.#answers !== answers || this.#loss !== undefined) return
        await connection.sendWhole(frontendMessages.copyData(bytes.subarray(at, at + INPUT_BYTES)))
      }
    }
    connection.send(frontendMessages.copyDone())
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

  // From here on: a consumer of what comes.

  readonly consumesPieces: boolean = true

  readonly outOfStep: () => Error = outOfStep

  get arrivals(): Arrivals<Arrival> | undefined {
    return this.#answers
  }

  consume(message: BackendMessage): true {
    switch (message.type) {
      case 'notice-response': {
        const { severity, message: text = '', hint } = message.report
        this.#options.onNotice({
          severity: severity === 'WARNING' ? 'WARNING' : 'NOTICE',
          message: onOneLine(text),
          ...(hint !== undefined && { hint: onOneLine(hint) }),
        })
        break
      }
      case 'error-response': {
        const { severity } = message.report
        const error = reportedError(message.report)
        this.#answers?.fail(error)
        if (severity === 'FATAL' || severity === 'PANIC') this.#lose(error)
        break
      }
      case 'ready-for-query':
        this.#endAnswers()
        break
      case 'row-description':
        this.#answers?.push({ type: 'columns', names: message.names }, 0)
        break
      case 'data-row':
        this.#answers?.push({ type: 'row', values: message.values.map(readValue) }, 0)
        break
      case 'copy-data':
        this.#answers?.push({ type: 'data', bytes: message.bytes }, message.bytes.length)
        break
      case 'command-complete':
        this.#answers?.push({ type: 'complete', tag: message.tag }, 0)
        break
      case 'copy-in-response':
        this.#answers?.push({ type: 'copy-in' }, 0)
        break
      case 'copy-out-response':
      case 'copy-done':
        // Where a COPY ends, its CommandComplete tells.
        break
      case 'parameter-status':
      case 'empty-query-response':
        break
      case 'authentication':
      case 'negotiate-protocol-version':
      case 'backend-key-data':
      case 'copy-both-response':
      case 'other':
        throw outOfStep()
      default:
        message satisfies never
    }
    return true
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

function readValue(value: Buffer | null): Value {
  return value === null ? null : decodePathname(value)
}

const SYNTAX_ERROR = '42601'

/** What a database server says that was taken for an agent. */
const walSenderWords = 'commands in WAL sender'

/** The error that an agent has reported, in its words. */
export function reportedError(report: Report): PbManifestError {
  const { message = 'an error without a message', hint, sqlstate, detail } = report
  const isStranger = sqlstate === SYNTAX_ERROR || message.includes(walSenderWords)
  const shownHint = isStranger ? strangerHint : hint
  return new AgentError(sqlstate, onOneLine(message), {
    details: reportedDetails('agent', { message, detail }),
    ...(shownHint === undefined ? {} : { hint: onOneLine(shownHint) }),
  })
}

/** An error that an agent has reported. */
class AgentError extends PbManifestError {
  readonly sqlstate: string | undefined

  constructor(
    sqlstate: string | undefined,
    message: string,
    options: { details: readonly string[]; hint?: string },
  ) {
    super('SERVER', message, options)
    this.sqlstate = sqlstate
  }
}

const DUPLICATE_OBJECT = '42710'

/** Whether an agent refuses what was done already. */
export function isDoneAlready(error: unknown): boolean {
  return error instanceof AgentError && error.sqlstate === DUPLICATE_OBJECT
}

/** What we send is right for an agent of our version. */
const strangerHint = 'This may not be an agent of pbmanifest, or not one of this version.'

/** What is left to say when the connection is gone. */
function lostAgent(cause: unknown): PbManifestError {
  if (isPbManifestError(cause)) return cause
  return new PbManifestError('SERVER', `lost the connection to the agent: ${describeServerError(cause)}`, {
    cause,
  })
}

/** What it sends are no messages. */
function outOfStep(): PbManifestError {
  return new PbManifestError('SERVER', 'lost synchronization with the agent: invalid message')
}
