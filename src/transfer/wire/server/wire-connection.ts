import type { TLSSocket } from 'node:tls'
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { backendMessages } from '../protocol/backend-messages.js'
import { WireError } from '../wire-error.js'
import type { MakeHandler, WireClose, WireHandler } from '../wire-handler.js'
import { authenticate, type WireAccess } from './authenticate.js'
import { authenticationTimeout } from './connection-errors.js'
import { openStartup, readStartupParameters, type StartupParameters } from './open-startup.js'
import { internalError } from './run-query.js'
import { answerMessages } from './answer-messages.js'
import type { WireChannel } from './wire-channel.js'

const SECRET_BYTES = 4

/** What a client needs to cancel a query of a connection from another one. */
interface CancelKey {
  readonly pid: number
  readonly secret: Buffer
}

/** The connections whose queries can be cancelled. */
export class CancelTable {
  readonly #connections = new Map<number, { readonly secret: Buffer; readonly cancel: () => void }>()

  /** @param pid - nobody else's */
  register(pid: number, cancel: () => void): CancelKey {
    const secret = randomBytes(SECRET_BYTES)
    this.#connections.set(pid, { secret, cancel })
    return { pid, secret }
  }

  forget(pid: number): void {
    this.#connections.delete(pid)
  }

  /** Cancels what that connection is doing, if the secret is its own. */
  cancel({ pid, secret }: CancelKey): boolean {
    const connection = this.#connections.get(pid)
    if (connection === undefined || !timingSafeEqual(connection.secret, secret)) return false
    connection.cancel()
    return true
  }
}

interface ConnectionContext {
  readonly channel: WireChannel
  readonly access: WireAccess
  readonly pid: number
  readonly remote: string
  readonly cancels: CancelTable
  readonly limits: WireLimits
  /** Further ParameterStatus, or others than ours. */
  readonly settings: ReadonlyMap<string, string>
  readonly makeHandler: MakeHandler
  /** Called when the user is known; refuses one connection too many. */
  readonly admit: () => void
  readonly onEvent: (event: WireEvent) => void
}

/** One client, from its first byte to the last. */
export class WireConnection {
  readonly #context: ConnectionContext
  readonly #channel: WireChannel
  #user: string | undefined
  #running: AbortController | undefined

  constructor(context: ConnectionContext) {
    this.#context = context
    this.#channel = context.channel
  }

  /** Never throws. */
  async run(): Promise<void> {
    try {
      const client = await this.#inTime(() => this.#authenticate())
      if (client !== undefined) await this.#serve(client)
    } catch (error) {
      const reason = this.#sayGoodbye(error)
      this.#tell({ type: 'refused', user: this.#user, error: reason })
    } finally {
      await this.#channel.close()
    }
  }

  /** Who the client is; `undefined` when it only wanted to cancel a query. */
  async #authenticate(): Promise<AuthenticatedClient | undefined> {
    const channel = this.#channel
    const { access } = this.#context
    const opening = await openStartup(channel, access.tls)
    if (opening.type === 'cancel-request') {
      // Without an answer, as from a server: who guesses secrets learns nothing.
      this.#tell({ type: 'cancel-request', isGranted: this.#context.cancels.cancel(opening) })
      return undefined
    }
    const { packet, secureSocket } = opening
    const parameters = readStartupParameters(packet)
    this.#user = parameters.user
    if (packet.minorVersion > 0 || parameters.unknownOptions.length > 0) {
      channel.send(backendMessages.negotiateProtocolVersion(parameters.unknownOptions))
    }
    await authenticate(channel, parameters.user, access.authentication, secureSocket)
    this.#context.admit()
    return { parameters, secureSocket }
  }

  async #serve({ parameters, secureSocket }: AuthenticatedClient): Promise<void> {
    const { makeHandler, remote } = this.#context
    const isEncrypted = secureSocket !== undefined
    const { user, database } = parameters
    const end = (error: WireError): void => this.#channel.interrupt(asFatal(error))
    this.#tell({ type: 'authenticated', user, database, isEncrypted })
    let how: WireClose = 'lost'
    let error: WireError | undefined
    let handler: WireHandler | undefined
    try {
      handler = await makeHandler({ ...parameters, pid: this.#context.pid, remote, isEncrypted, end })
      await this.#answerQueries(handler, parameters)
      how = 'terminated'
    } catch (thrown) {
      error = this.#sayGoodbye(thrown)
    }
    await this.#close(handler, how)
    this.#tell({ type: 'disconnected', how, error })
  }

  async #answerQueries(handler: WireHandler, parameters: StartupParameters): Promise<void> {
    const { cancels, pid, limits, settings } = this.#context
    const key = cancels.register(pid, () => this.#running?.abort())
    try {
      greet(this.#channel, parameters, key, settings)
      await answerMessages({
        channel: this.#channel,
        handler,
        ...limits,
        onQuery: (cancelled) => {
          this.#running = cancelled
        },
        onInternalError: (error) => this.#tell({ type: 'internal-error', error }),
      })
    } finally {
      cancels.forget(pid)
    }
  }

  async #close(handler: WireHandler | undefined, how: WireClose): Promise<void> {
    try {
      await handler?.close(how)
    } catch (error) {
      this.#tell({ type: 'internal-error', error })
    }
  }

  async #inTime<Result>(act: () => Promise<Result>): Promise<Result> {
    const { authenticationTimeoutMs } = this.#context.limits
    const timer = setTimeout(() => this.#channel.interrupt(authenticationTimeout()), authenticationTimeoutMs)
    try {
      return await act()
    } finally {
      clearTimeout(timer)
    }
  }

  /** Tells the client why, if it is still there. */
  #sayGoodbye(thrown: unknown): WireError {
    if (!(thrown instanceof WireError)) this.#tell({ type: 'internal-error', error: thrown })
    const error = asFatal(this.#channel.reason ?? thrown)
    this.#channel.send(backendMessages.errorResponse(error))
    return error
  }

  #tell(event: EventDetails): void {
    const { pid, remote, onEvent } = this.#context
    onEvent({ pid, remote, ...event })
  }
}

interface AuthenticatedClient {
  readonly parameters: StartupParameters
  readonly secureSocket: TLSSocket | undefined
}

type WithoutPlace<Event> = Event extends WireEvent ? Omit<Event, 'pid' | 'remote'> : never
type EventDetails = WithoutPlace<WireEvent>

function asFatal(thrown: unknown): WireError {
  const error = thrown instanceof WireError ? thrown : internalError(thrown)
  if (error.severity === 'FATAL') return error
  const { sqlstate, message, detail, hint, position, cause } = error
  return new WireError(sqlstate, message, { severity: 'FATAL', detail, hint, position, cause })
}

/** Tells the client what it may rely on. The names and their order are a walsender's. */
function greet(
  channel: WireChannel,
  { user, parameters }: StartupParameters,
  key: CancelKey,
  settings: ReadonlyMap<string, string>,
): void {
  const statuses = new Map([
    ['application_name', parameters.get('application_name') ?? ''],
    // Whatever the client asked for: there is no conversion.
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO, MDY'],
    ['default_transaction_read_only', 'off'],
    ['in_hot_standby', 'off'],
    ['integer_datetimes', 'on'],
    ['IntervalStyle', 'postgres'],
    ['is_superuser', 'off'],
    ['server_encoding', 'UTF8'],
    ['server_version', ''],
    ['session_authorization', user],
    ['standard_conforming_strings', 'on'],
    ['TimeZone', 'UTC'],
    ...settings,
  ])
  channel.send(
    ...Array.from(statuses, ([name, value]) => backendMessages.parameterStatus(name, value)),
    backendMessages.backendKeyData(key.pid, key.secret),
  )
}

/** What a client may ask of us. */
export interface WireLimits {
  /** Of the payload of a message, which is how long a query may be. */
  readonly maxMessageBytes: number
  /** From the first byte to the authenticated user, TLS included. */
  readonly authenticationTimeoutMs: number
  /** How long a client may say nothing between two queries; 0: forever. See `WireHandler.mayStayIdle`. */
  readonly idleTimeoutMs: number
  /** How long a client may take nothing of what we send it; 0: forever. */
  readonly stallTimeoutMs: number
  /** How often a client whose query runs hears that we are at work. */
  readonly heartbeatMs: number
}

export const defaultLimits: WireLimits = {
  maxMessageBytes: 1 << 20,
  authenticationTimeoutMs: 60_000,
  idleTimeoutMs: 0,
  stallTimeoutMs: 0,
  heartbeatMs: 5000,
}

/** What happened on a connection, for a log. `pid` is the number that the client knows the connection by. */
export type WireEvent = { readonly pid: number; readonly remote: string } & (
  | { readonly type: 'connected' }
  | {
      readonly type: 'authenticated'
      readonly user: string
      readonly database: string
      readonly isEncrypted: boolean
    }
  /** The connection ended with an error before its user was known, or because of who the user is not. */
  | { readonly type: 'refused'; readonly user: string | undefined; readonly error: WireError }
  /** The client wants a query of another connection cancelled. */
  | { readonly type: 'cancel-request'; readonly isGranted: boolean }
  /** A fault of ours; the client was told no more than that. */
  | { readonly type: 'internal-error'; readonly error: unknown }
  /** The end of a connection that was authenticated, and the error that ended it, if any. */
  | { readonly type: 'disconnected'; readonly how: WireClose; readonly error: WireError | undefined }
)
