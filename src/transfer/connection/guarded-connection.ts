import type { Duplex } from 'node:stream'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { formatMessage } from '../wire/protocol/message-framing.js'
import {
  AuthenticationCheck,
  type AuthenticationDemands,
  AuthenticationError,
} from './authentication-check.js'
import { Connection } from './pg.js'
import { ReusingSocket } from './reusing-socket.js'
import { untilConnectionEnds } from './scram-key.js'
import { ServerMessages } from './server-messages.js'
import type { TlsAttempt } from './tls-attempts.js'

export interface GuardedConnectionOptions {
  readonly tls: TlsAttempt
  readonly tlsNegotiation: 'postgres' | 'direct'
  readonly keepAlive: boolean
  readonly keepAliveInitialDelayMillis: number
  readonly authentication: AuthenticationDemands
}

/** ParameterStatus, as `pg` reads it. */
interface ReportedParameter {
  readonly parameterName: string
  readonly parameterValue: string
}

type Listener = (bytes: Buffer) => void

/**
 * A connection of `pg` that has everything that a server sends looked at before ({@link ServerMessages},
 * {@link AuthenticationCheck}). What is wrong with it, or is more than `pg` can take, ends the connection with an error;
 * thrown where `pg` reads, it would end the process.
 */
export class GuardedConnection extends Connection {
  /** What the server has reported of itself (ParameterStatus). */
  readonly parameters: Map<string, string> = new Map()
  readonly #options: GuardedConnectionOptions

  constructor(options: GuardedConnectionOptions) {
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
    this.on('parameterStatus', ({ parameterName, parameterValue }: ReportedParameter) => {
      this.parameters.set(parameterName, parameterValue)
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
    super.attachListeners(stream)
    const listeners = stream.listeners('data') as Listener[]
    stream.removeAllListeners('data')
    const check = new AuthenticationCheck(this.#options.authentication, this.#options.tls !== false)
    const ended = new AbortController()
    stream.once('close', () => ended.abort())
    const messages = new ServerMessages((message, { type, content }) => {
      if (message.type === 'authentication') check.accept(message)
      const bytes = formatMessage(type, content)
      untilConnectionEnds(ended.signal, () => {
        for (const listener of listeners) listener.call(stream, bytes)
      })
    })
    stream.on('data', (bytes: Buffer) => {
      try {
        messages.push(bytes)
      } catch (error) {
        stream.destroy(breachOfProtocol(error))
      }
    })
  }

  /** One byte is the answer to SSLRequest, and nothing may follow it that is not encrypted. */
  #guardTlsAnswer(): void {
    const { stream } = this
    const [listener] = stream.rawListeners('data').slice(-1) as [Listener]
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
export function unixSocketPath(directory: string, port: number): string {
  const path = `${directory}/.s.PGSQL.${port}`
  return path.startsWith('@') ? `\0${path.slice(1)}` : path
}
