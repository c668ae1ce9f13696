import { randomBytes } from 'node:crypto'
import type { QueryArrayConfig } from 'pg'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { throwIfAborted } from '../../../files/yielder.js'
import { ask } from '../answer-watch.js'
import { connect } from '../connect.js'
import { destroyConnection, type PgClient } from '../pg-connection.js'
import type { ConnectionOptions } from '../settings/connection-options.js'
import { DatabaseError } from '../pg.js'
import { serverError } from '../server-error.js'
import { anotherServer } from './server-identity.js'
import { startupOptions } from './session-settings.js'

declare const hasPassed: unique symbol

/** A connection for replication commands, at the server that the run is about. Nothing but this file makes one. */
export type ReplicationClient = PgClient & { readonly [hasPassed]: true }

/** What the server that is backed up knows of a WAL sender. */
export interface WalSenderSearch {
  /** Whether it has one of this name. */
  readonly found: boolean
  /** Which server it is, for messages. */
  readonly server: string
}

/** How a connection for replication proves where it is. */
export interface ReplicationProof {
  readonly systemIdentifier: bigint
  readonly majorVersion: number
  /** Asks the server that is backed up for a WAL sender by its application name. */
  readonly findWalSender: (applicationName: string) => Promise<WalSenderSearch>
}

/**
 * Connects for physical replication. SQL cannot be asked there, so the server that is backed up is asked over the other
 * connection whether this one is at it: by an application name that nobody else has.
 *
 * @throws {@link PbManifestError} `SERVER`, `ABORTED`
 */
export async function connectReplication(
  connection: ConnectionOptions,
  proof: ReplicationProof,
  signal: AbortSignal | undefined,
): Promise<ReplicationClient> {
  const applicationName = uniqueName(connection.applicationName)
  const client = await connectAs(connection, {
    replication: 'true',
    applicationName,
    startupOptions: startupOptions(proof.majorVersion),
    signal,
  })
  const leave = (): void => destroyConnection(client)
  signal?.addEventListener('abort', leave, { once: true })
  try {
    await requireSystem(client, proof.systemIdentifier)
    const { found, server } = await proof.findWalSender(applicationName)
    if (!found) throw anotherServer(server, `"${client.host}", port ${client.port}, by a connection for WAL`)
    return client as ReplicationClient
  } catch (error) {
    destroyConnection(client)
    throwIfAborted(signal)
    throw error
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}

/** How much of an application name a server keeps. @see src/include/pg_config_manual.h (`NAMEDATALEN`) */
const LONGEST_NAME = 63

/** The name that the user wants, and 64 random bits. A server changes what is not ASCII. */
function uniqueName(name: string): string {
  const token = randomBytes(8).toString('hex')
  const shown = /^[ -~]*$/.test(name) ? name : 'pbmanifest'
  return `${shown.slice(0, LONGEST_NAME - token.length - 1)} ${token}`
}

const INSUFFICIENT_PRIVILEGE = '42501'

async function connectAs(
  connection: ConnectionOptions,
  mode: NonNullable<Parameters<typeof connect>[1]>,
): Promise<PgClient> {
  try {
    return await connect(connection, mode)
  } catch (error) {
    const cause = isPbManifestError(error) ? error.cause : undefined
    if (!(cause instanceof DatabaseError) || cause.code !== INSUFFICIENT_PRIVILEGE) throw error
    const grantee = `"${connection.user.replaceAll('"', '""')}"`
    const hint = `Give the role what it lacks with: ALTER ROLE ${grantee} REPLICATION.`
    throw new PbManifestError('SERVER', (error as PbManifestError).message, { cause, hint })
  }
}

async function requireSystem(client: PgClient, systemIdentifier: bigint): Promise<void> {
  const query: QueryArrayConfig = { text: 'IDENTIFY_SYSTEM', rowMode: 'array' }
  try {
    const [row] = await ask<string[]>(client, query)
    if (row?.[0] === String(systemIdentifier)) return
  } catch (error) {
    throw serverError(`could not send replication command "${query.text}"`, error)
  }
  throw new PbManifestError(
    'SERVER',
    'system identifier differs between base backup and streaming connection',
  )
}
