import type { ClientConfig } from 'pg'
import { Client } from './pg.js'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { isDescriptorShortage, shortageHint } from '../../files/system-error.js'
import { throwIfAborted } from '../../files/yielder.js'
import { AnswerWatch, ask, expectAnswer } from './answer-watch.js'
import { AuthenticationError } from './authentication-check.js'
import {
  describeConnectionFailure,
  isNoTls,
  mayWorkInAnotherDatabase,
  mayWorkOtherwise,
  NoPasswordError,
} from './connection-failure.js'
import type { ConnectionHost, ConnectionOptions, SessionAttributes } from './settings/connection-options.js'
import { keepAlive } from './keep-alive.js'
import { destroyConnection, endConnection, GOODBYE_MS, type PgClient, PgConnection } from './pg-connection.js'
import { passwordForDatabase } from './pin-host.js'
import { isUnixSocket, type TlsAttempt, tlsAttempts } from './settings/resolve-tls.js'

export interface ConnectMode {
  /** `true`: replication commands only; `database`: these and SQL. Default: SQL only. */
  readonly replication?: 'true' | 'database'
  /** More settings for the session, which go before those of the options. */
  readonly startupOptions?: string
  /** What monitoring sees, in place of the options' name. */
  readonly applicationName?: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Connects to the first host that will have us. The caller ends the client ({@link endConnection}), and listens to its
 * `error` to learn of the loss of an idle connection. No connection outlives its signal by more than 5 s: that is the time
 * for whoever uses it to leave in good order, however silent the server is.
 *
 * @throws {@link PbManifestError} `SERVER`, with a line for everything that was tried at each host; `IO` when there is no
 * descriptor left here; `ABORTED`
 */
export async function connect(options: ConnectionOptions, mode: ConnectMode = {}): Promise<PgClient> {
  const failures: Failure[] = []
  for (const { host, attributes } of hostsInTurn(options)) {
    const failed: Failure[] = []
    for (const attempt of attemptsAt(options, host, mode)) {
      if (failed[0] !== undefined && !attempt.mayHelp(failed[0].error)) continue
      try {
        return await connectOnce({ ...attempt, host, attributes, mode })
      } catch (error) {
        throwIfAborted(mode.signal)
        // The last attempt says what is in the way; that there is no TLS is nothing where it is not insisted on.
        if (failed[0] !== undefined && isNoTls(failed[0].error)) failed.shift()
        failed.unshift({ error, message: describeConnectionFailure(host, error) })
      }
    }
    failures.push(...failed)
  }
  const [first, ...others] = failures
  // That we can open no socket is no fault of any server.
  const code = isDescriptorShortage(first?.error) ? 'IO' : 'SERVER'
  throw new PbManifestError(code, first?.message ?? 'no host to connect to', {
    cause: first?.error,
    details: others.map(({ message }) => message),
    ...hintOf(first?.error),
  })
}

function hintOf(error: unknown): { readonly hint?: string } {
  if (isDescriptorShortage(error)) return { hint: shortageHint }
  if (!isPbManifestError(error) && !(error instanceof AuthenticationError)) return {}
  return error.hint === undefined ? {} : { hint: error.hint }
}

interface Failure {
  readonly error: unknown
  readonly message: string
}

/** One of several things to try at a host. */
interface Variant {
  readonly options: ConnectionOptions
  readonly tls: TlsAttempt
  /** Whether it may work where the attempt before it failed so. */
  readonly mayHelp: (error: unknown) => boolean
}

/** With TLS or without; and when nobody named a database, in each of those that it may be. */
function attemptsAt(options: ConnectionOptions, host: ConnectionHost, mode: ConnectMode): readonly Variant[] {
  const variants = tlsAttempts(options.tls, host)
  const first = variants.map((tls): Variant => ({ options, tls, mayHelp: mayWorkOtherwise }))
  // A connection for replication is to no database.
  if (mode.replication !== undefined) return first
  const others = options.fallbackDatabases.flatMap((database) =>
    variants.map((tls, place): Variant => ({
      options: { ...options, database },
      tls,
      mayHelp: place === 0 ? mayWorkInAnotherDatabase : mayWorkOtherwise,
    })),
  )
  return [...first, ...others]
}

/**
 * Connects, and says goodbye: whether it can be done, and whether there has to be a password, only the server knows.
 *
 * @throws {@link PbManifestError} as {@link connect}
 */
export async function tryConnection(options: ConnectionOptions, mode: ConnectMode): Promise<void> {
  await endConnection(await connect(options, mode))
}

/** `prefer-standby` is a search for a standby, and then for anything. */
function hostsInTurn(options: ConnectionOptions): readonly {
  readonly host: ConnectionHost
  readonly attributes: HostAttributes
}[] {
  const { hosts, sessionAttributes } = options
  if (sessionAttributes !== 'prefer-standby') {
    return hosts.map((host) => ({ host, attributes: sessionAttributes }))
  }
  return (['standby', 'any'] as const).flatMap((attributes) => hosts.map((host) => ({ host, attributes })))
}

interface Attempt {
  readonly options: ConnectionOptions
  readonly host: ConnectionHost
  readonly attributes: HostAttributes
  readonly tls: TlsAttempt
  readonly mode: ConnectMode
}

async function connectOnce(attempt: Attempt): Promise<PgClient> {
  const { signal } = attempt.mode
  throwIfAborted(signal)
  requireAbstractSockets(attempt.host)
  const client = new Client(clientConfig(attempt)) as PgClient
  const { stream } = client.connection
  AnswerWatch.start(stream, attempt.options.ioTimeout)
  const hasCome = expectAnswer(stream)
  // Without a listener, the loss of an idle connection would end the process.
  client.on('error', ignore)
  const stop = (): void => destroyConnection(client)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await client.connect()
    if (!(await hasSessionAttributes(client, attempt.attributes))) {
      throw new Error(`session is not ${attempt.attributes}`)
    }
    boundBySignal(client, signal)
    keepAlive(client)
    // With TLS it is another stream by now.
    AnswerWatch.start(client.connection.stream, attempt.options.ioTimeout)
    return client
  } catch (error) {
    destroyConnection(client)
    throw error
  } finally {
    hasCome()
    signal?.removeEventListener('abort', stop)
  }
}

/** The libuv of older versions fills up an abstract name with zeros, and so finds no server's. */
const FIRST_NODE_WITH_ABSTRACT_SOCKETS = 22

function requireAbstractSockets(host: ConnectionHost): void {
  const [major = ''] = process.versions.node.split('.')
  if (!isUnixSocket(host) || !host.host.startsWith('@') || Number(major) >= FIRST_NODE_WITH_ABSTRACT_SOCKETS)
    return
  throw new Error(
    `sockets in the abstract namespace need Node ${FIRST_NODE_WITH_ABSTRACT_SOCKETS} or newer, and this is ${process.version}`,
  )
}

/** Everything is given, because `pg` asks the environment for what is not, and not all of it as libpq does. */
function clientConfig({ options, host, tls, mode }: Attempt): ClientConfig {
  const { connectTimeout, sessionOptions } = options
  const password = passwordFor(host, options, mode)
  const config: ClientConfig & {
    replication?: string
    connection: PgConnection
    scramMaxIterations: number
  } = {
    connection: new PgConnection({
      tls,
      tlsNegotiation: tls === false ? 'postgres' : options.tls.negotiation,
      keepAlive: options.keepAlive,
      keepAliveInitialDelayMillis: options.keepAliveIdle * 1000,
      authentication: options.authentication,
    }),
    host: host.address ?? host.host,
    port: host.port,
    user: options.user,
    database: options.database,
    password: () => {
      if (password === undefined || password === '') throw new NoPasswordError()
      return password
    },
    application_name: mode.applicationName ?? options.applicationName,
    // Of one setting that is there twice, the last counts.
    options: [sessionOptions, mode.startupOptions].filter(Boolean).join(' '),
    ssl: tls,
    sslnegotiation: tls === false ? 'postgres' : options.tls.negotiation,
    enableChannelBinding: options.authentication.channelBinding !== 'disable' && tls !== false,
    // `pg` would allow 100,000; a server of PostgreSQL allows any number. See scram-key.ts.
    scramMaxIterations: 0,
    // As libpq: a second is too short to be meant.
    connectionTimeoutMillis: connectTimeout === 0 ? 0 : Math.max(connectTimeout, 2) * 1000,
    ...(mode.replication === undefined ? {} : { replication: mode.replication }),
  }
  return config
}

function passwordFor(
  host: ConnectionHost,
  options: ConnectionOptions,
  mode: ConnectMode,
): string | undefined {
  if (mode.replication !== undefined) return host.replicationPassword
  return passwordForDatabase(options, host, options.database)
}

/** Whatever else is done about the signal, and by whom: so long after it the connection is gone. */
function boundBySignal(client: PgClient, signal: AbortSignal | undefined): void {
  const end = (): void => {
    const timer = setTimeout(() => destroyConnection(client), GOODBYE_MS)
    client.once('end', () => clearTimeout(timer))
  }
  signal?.addEventListener('abort', end, { once: true })
  client.once('end', () => signal?.removeEventListener('abort', end))
}

function ignore(): void {
  // Whoever uses the connection has its own listener, or learns of the loss by the next query.
}

/** What one host can be asked for. */
type HostAttributes = Exclude<SessionAttributes, 'prefer-standby'>

/**
 * Whether the server is what libpq's `target_session_attrs` wants. `SHOW` works on replication connections, too: to them
 * a standby is a server whose transactions are read only, and so it is to 13, which has no `in_hot_standby`.
 */
async function hasSessionAttributes(client: PgClient, attributes: HostAttributes): Promise<boolean> {
  switch (attributes) {
    case 'any':
      return true
    case 'read-write':
      return !(await isOn(client, ['transaction_read_only']))
    case 'read-only':
      return isOn(client, ['transaction_read_only'])
    case 'primary':
      return !(await isOn(client, ['in_hot_standby', 'transaction_read_only']))
    case 'standby':
      return isOn(client, ['in_hot_standby', 'transaction_read_only'])
    default:
      return attributes satisfies never
  }
}

/** The first of the settings that the server knows. */
async function isOn(client: PgClient, settings: readonly string[]): Promise<boolean> {
  for (const [index, setting] of settings.entries()) {
    try {
      const [row] = await ask<Record<string, string>>(client, `SHOW ${setting}`)
      return row?.[setting] === 'on'
    } catch (error) {
      if (index === settings.length - 1) throw error
    }
  }
  return false
}
