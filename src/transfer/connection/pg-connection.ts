import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { connect, type Socket } from 'node:net'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { authenticationCodes } from '../wire/protocol/backend-messages.js'
import { formatMessage } from '../wire/protocol/message-framing.js'
import { type Arrivals, type Flow, flowOf, ReusingSocket } from './arrivals.js'
import {
  AuthenticationCheck,
  type AuthenticationDemands,
  AuthenticationError,
} from './authentication-check.js'
import { hearLastWords } from './last-words.js'
import { type Client, Connection } from './pg.js'
import { endDerivation, untilConnectionEnds } from './scram-key.js'
import { type MessageConsumer, ServerMessages } from './server-messages.js'
import type { TlsAttempt } from './settings/resolve-tls.js'
import { formatCancelRequest } from '../wire/protocol/startup-packet.js'

/** A client of `pg` on a connection of ours. */
export type PgClient = Client & { readonly connection: PgConnection }

interface PgConnectionOptions {
  readonly tls: TlsAttempt
  readonly tlsNegotiation: 'postgres' | 'direct'
  readonly keepAlive: boolean
  readonly keepAliveInitialDelayMillis: number
  readonly authentication: AuthenticationDemands
}

/** Who takes what comes over a connection, in place of `pg`. */
export interface ConnectionConsumer extends MessageConsumer {
  /**
   * What the bytes that are taken go to, if to anything: their memory is left alone until it has released them. Other bytes
   * are valid only until `consume` returns.
   */
  readonly arrivals: Arrivals<unknown> | undefined
}

/** What a client needs to have cancelled what a connection runs. */
interface BackendKey {
  readonly pid: number
  readonly secret: Buffer
}

/**
 * A connection of `pg` whose socket is ours. Everything that a server sends is looked at first ({@link ServerMessages},
 * {@link AuthenticationCheck}): what is wrong with it, or is more than `pg` can take, ends the connection with an error;
 * thrown where `pg` reads, it would end the process. Then it goes to `pg`, or past it to whoever has taken over: `pg` copies
 * each byte of a COPY twice, reads on while nobody takes what it read, and spoils names that are not UTF-8.
 */
export class PgConnection extends Connection {
  /** What the server has reported of itself (ParameterStatus). */
  readonly parameters: Map<string, string> = new Map()
  readonly #options: PgConnectionOptions
  readonly #messages: ServerMessages
  /** In the place of a socket: `pg` reads what is emitted here. */
  readonly #toPg = new EventEmitter()
  readonly #check: AuthenticationCheck
  readonly #closed = new AbortController()
  #consumer: ConnectionConsumer | undefined
  #backendKey: BackendKey | undefined

  constructor(options: PgConnectionOptions) {
    const { tls, tlsNegotiation, keepAlive, keepAliveInitialDelayMillis } = options
    super({
      ssl: tls,
      sslNegotiation: tlsNegotiation,
      keepAlive,
      keepAliveInitialDelayMillis,
      // With TLS, the memory of a read is OpenSSL's.
      ...(tls === false ? { stream: new ReusingSocket() } : {}),
    })
    this.#options = options
    this.#check = new AuthenticationCheck(options.authentication, tls !== false)
    this.#messages = new ServerMessages((message, { type, content }) => {
      if (message.type === 'authentication') this.#check.accept(message)
      if (message.type === 'parameter-status') this.parameters.set(message.name, message.value)
      if (message.type === 'backend-key-data') this.#keepBackendKey(message)
      // A copy, since `pg` may keep what it gets.
      const bytes = formatMessage(type, content)
      const toPg = (): void => void this.#toPg.emit('data', bytes)
      const step = message.type === 'authentication' ? message.code : undefined
      if (step === authenticationCodes.saslContinue) untilConnectionEnds(this.#closed.signal, toPg)
      else toPg()
      if (step === authenticationCodes.ok) endDerivation(this.#closed.signal)
    })
  }

  /** By what its backend is known; `undefined`: it has not told. */
  get backendKey(): BackendKey | undefined {
    return this.#backendKey
  }

  /** What bytes arrive by, of whoever has taken over. */
  get flow(): Flow {
    return flowOf(this.stream)
  }

  /**
   * Has messages taken past `pg`, from the next one on, until this is called with `undefined`. Not to be called while a chunk
   * is being read.
   */
  handOver(consumer: ConnectionConsumer | undefined): void {
    this.#consumer = consumer
    this.#messages.consumer = consumer
    if (this.stream instanceof ReusingSocket) this.stream.reuse()
  }

  /** Sends one of the messages that `pg` has no function for, or that it is not to know of. */
  send(message: Buffer): void {
    if (this.stream.writable) this.stream.write(message)
  }

  /** The same of what is long: resolves when the system has taken it, or will never. */
  async sendWhole(message: Buffer): Promise<void> {
    const { stream } = this
    if (!stream.writable) return
    await new Promise<void>((resolve) => {
      stream.once('close', resolve)
      stream.write(message, () => {
        stream.off('close', resolve)
        resolve()
      })
    })
  }

  override connect(portOrPath: number | string, host = ''): void {
    // `pg` knows no abstract sockets, and takes their name for one of a host.
    if (host.startsWith('@')) super.connect(unixSocketPath(host, Number(portOrPath)))
    else super.connect(portOrPath, host)
    const { tls, tlsNegotiation } = this.#options
    if (tls !== false && tlsNegotiation === 'postgres') this.#guardTlsAnswer()
  }

  /** `pg` calls it when the messages begin: at once, or within TLS. */
  override attachListeners(stream: Duplex): void {
    super.attachListeners(this.#toPg)
    hearLastWords(stream)
    stream.once('close', () => this.#closed.abort())
    stream.on('data', (chunk: Buffer) => this.#read(stream, chunk))
  }

  #read(stream: Duplex, chunk: Buffer): void {
    // Its end may be in the chunk.
    const arrivals = this.#consumer?.arrivals
    try {
      this.#messages.push(chunk)
    } catch (error) {
      stream.destroy(breachOfProtocol(error))
    }
    if (arrivals !== undefined) arrivals.endChunk()
    else if (stream instanceof ReusingSocket) stream.release(1)
  }

  #keepBackendKey({ pid, secret }: BackendKey): void {
    this.#backendKey = { pid, secret: Buffer.from(secret) }
  }

  /** One byte is the answer to SSLRequest, and nothing may follow it that is not encrypted. */
  #guardTlsAnswer(): void {
    const { stream } = this
    const [listener] = stream.rawListeners('data').slice(-1) as [(bytes: Buffer) => void]
    stream.off('data', listener)
    stream.once('data', (bytes: Buffer) => {
      const answer = bytes.toString('latin1')
      if (answer === 'S' || answer === 'N') listener.call(stream, bytes)
      else stream.destroy(new Error(describeTlsAnswer(answer)))
    })
  }
}

/** @see src/interfaces/libpq/fe-connect.c (`PQconnectPoll`) */
function describeTlsAnswer(answer: string): string {
  if (answer.startsWith('E')) return 'server sent an error response during SSL exchange'
  const shown = /^[!-~]/.test(answer) ? answer[0] : JSON.stringify(answer[0])
  return `received invalid response to SSL negotiation: ${shown}`
}

function breachOfProtocol(cause: unknown): Error {
  if (isPbManifestError(cause) || cause instanceof AuthenticationError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PbManifestError('SERVER', `the server does not keep to the protocol: ${reason}`, { cause })
}

/** @param directory - of the socket; with `@` in front, the socket is in the abstract namespace */
function unixSocketPath(directory: string, port: number): string {
  const path = `${directory}/.s.PGSQL.${port}`
  return path.startsWith('@') ? `\0${path.slice(1)}` : path
}

/** For so long, in milliseconds, a server may take to say goodbye. */
export const GOODBYE_MS = 5000

/** Says goodbye, and ends the connection when that was heard, or after 5 s. Never throws. */
export async function endConnection(client: PgClient): Promise<void> {
  const timer = setTimeout(() => destroyConnection(client), GOODBYE_MS)
  await client.end().catch(() => {})
  clearTimeout(timer)
}

/** Ends a connection at once, without a goodbye. */
export function destroyConnection(client: PgClient): void {
  client.connection.stream.destroy()
}

/** Who does not take the request by then does not take it. */
const TIMEOUT_MS = 2000

/**
 * Asks the server to cancel what a connection runs. Resolves when the server took the request, or did not; never rejects.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function cancelRequest(client: PgClient): Promise<void> {
  const { backendKey } = client.connection
  if (backendKey === undefined) return
  const socket = connectLike(client)
  await new Promise<void>((resolve) => {
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    socket.on('error', () => {})
    // The server closes the connection when it has sent the signal.
    socket.on('close', () => resolve())
    socket.end(formatCancelRequest(backendKey))
    socket.resume()
  })
}

/** To the very server of this connection, whatever its host name means by now. */
function connectLike(client: PgClient): Socket {
  const { remoteAddress, remotePort } = client.connection.stream as Socket
  if (remoteAddress !== undefined && remotePort !== undefined) return connect(remotePort, remoteAddress)
  return connect(unixSocketPath(client.host, client.port))
}
