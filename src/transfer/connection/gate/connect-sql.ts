import { randomBytes } from 'node:crypto'
import { throwIfAborted } from '../../../files/yielder.js'
import { expectAnswer } from '../answer-watch.js'
import { connect } from '../connect.js'
import { destroyConnection, type PgClient } from '../pg-connection.js'
import type { ConnectionOptions } from '../settings/connection-options.js'
import { pinHost } from '../pin-host.js'
import { serverError } from '../server-error.js'
import { claimServer, type FoundServer, requireServer, type ServerIdentity } from './server-identity.js'
import {
  explainRefusedSettings,
  fixSettingsQuery,
  pooledConnection,
  SESSION_MARK,
  startupOptions,
} from './session-settings.js'

declare const hasPassed: unique symbol

/**
 * A connection for SQL that has passed the gate: it has a backend of its own, its settings are ours, and it is at the
 * server that the run is about. Nothing but this file makes one.
 */
export type SqlClient = PgClient & { readonly [hasPassed]: true }

/**
 * Finds the server that a run is about, of those that the options name: the connection that this returns is the run's
 * first, and has to live as long as the run. All others are made by {@link connectToServer}.
 *
 * @throws {@link PbManifestError} `SERVER`, `ABORTED`
 */
export async function findServer(
  connection: ConnectionOptions,
  signal?: AbortSignal,
): Promise<{ readonly client: SqlClient; readonly server: FoundServer }> {
  return await passGate({ connection, signal, identity: undefined }, async (client, processId) => {
    const identity = await claimServer(client, processId)
    return { client, server: { connection: pinHost(connection, client), identity } }
  })
}

/**
 * Connects to the server that a run has found, and to no other.
 *
 * @throws {@link PbManifestError} `SERVER`, `ABORTED`
 */
export async function connectToServer(
  { connection, identity }: FoundServer,
  signal?: AbortSignal,
): Promise<SqlClient> {
  return await passGate({ connection, signal, identity }, async (client, processId) => {
    await requireServer(client, processId, identity)
    return client
  })
}

/**
 * Connects to a server that no backup is taken of: with a backend and settings of its own, but without a proof of which one it is.
 *
 * @throws {@link PbManifestError} `SERVER`, `ABORTED`
 */
export async function connectToDatabase(
  connection: ConnectionOptions,
  signal?: AbortSignal,
): Promise<SqlClient> {
  return await passGate({ connection, signal, identity: undefined }, async (client) => client)
}

/** What a backend has for us to know it by. */
export function processIdOf(client: PgClient): number | undefined {
  return client.connection.backendKey?.pid
}

interface GateOptions {
  readonly connection: ConnectionOptions
  readonly signal: AbortSignal | undefined
  readonly identity: ServerIdentity | undefined
}

async function passGate<Passed>(
  { connection, signal, identity }: GateOptions,
  prove: (client: SqlClient, processId: number) => Promise<Passed>,
): Promise<Passed> {
  const mark = randomBytes(8).toString('hex')
  const options = `${startupOptions(identity?.majorVersion)} -c ${SESSION_MARK}=${mark}`
  const client = await connect(connection, { startupOptions: options, signal }).catch((error: unknown) => {
    throw explainRefusedSettings(error)
  })
  const hasCome = expectAnswer(client.connection.stream)
  const leave = (): void => destroyConnection(client)
  signal?.addEventListener('abort', leave, { once: true })
  try {
    return await prove(client as SqlClient, await fixSettings(client, mark))
  } catch (error) {
    destroyConnection(client)
    throwIfAborted(signal)
    throw serverError('could not prepare the connection', error)
  } finally {
    hasCome()
    signal?.removeEventListener('abort', leave)
  }
}

/** @returns the backend's process ID */
async function fixSettings(client: PgClient, mark: string): Promise<number> {
  const processId = processIdOf(client)
  if (processId === undefined) throw pooledConnection()
  const results = [await client.query<{ ours: boolean }>(fixSettingsQuery({ processId, mark }))].flat()
  if (results.find(({ command }) => command === 'SELECT')?.rows[0]?.ours !== true) throw pooledConnection()
  return processId
}
