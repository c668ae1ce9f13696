import type { PgClient } from '../pg-connection.js'
import { randomBytes } from 'node:crypto'
import { ask } from '../answer-watch.js'
import { PbManifestError } from '../../../errors.js'
import type { ConnectionOptions } from '../settings/connection-options.js'
import { pooledConnection } from './session-settings.js'

/** By what a server is known again. Plain data: it crosses threads. */
export interface ServerIdentity {
  /** Of the advisory lock that the leader's session holds as long as it lives: no other server has it. */
  readonly lockKey: bigint
  readonly majorVersion: number
  /** For messages. */
  readonly description: string
}

/** A server that was found, and how to reach it again. Plain data: it crosses threads. It holds passwords. */
export interface FoundServer {
  /** With the one host, of several, that led to it. */
  readonly connection: ConnectionOptions
  readonly identity: ServerIdentity
}

interface IdentityRow extends ServerDescription {
  readonly pid: number
  readonly locked: boolean | null
  readonly version: string
}

/** What a server says of itself, for messages. */
export interface ServerDescription {
  readonly started: string
  readonly address: string | null
  readonly port: number | null
  readonly name: string
}

/** The columns of {@link ServerDescription}. */
export const serverDescription: string = `
  pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) AS started,
  pg_catalog.host(pg_catalog.inet_server_addr()) AS address, pg_catalog.inet_server_port() AS port,
  pg_catalog.current_setting('cluster_name') AS name`

/**
 * Takes an advisory lock with a random key, which lasts as long as the session: by it, and by nothing that another
 * server could have as well, later connections know that they reached the same server. System identifiers do not tell: a
 * standby has its primary's.
 *
 * @param processId - the backend's; in another one nothing is locked
 * @throws {@link PbManifestError} `SERVER` when it is not the one
 */
export async function claimServer(client: PgClient, processId: number): Promise<ServerIdentity> {
  const lockKey = randomBytes(8).readBigInt64BE()
  const [row] = await ask<IdentityRow>(
    client,
    `
    SELECT pg_catalog.pg_backend_pid() AS pid,
           CASE WHEN pg_catalog.pg_backend_pid() = ${processId}
                THEN pg_catalog.pg_try_advisory_lock('${lockKey}'::pg_catalog.int8) END AS locked,
           pg_catalog.current_setting('server_version_num') AS version, ${serverDescription}`,
  )
  if (row?.locked !== true) throw pooledConnection()
  return { lockKey, majorVersion: majorVersionOf(row), description: describeServer(row) }
}

/** @throws {@link PbManifestError} `SERVER` when this is another server */
export async function requireServer(
  client: PgClient,
  processId: number,
  identity: ServerIdentity,
): Promise<void> {
  const [row] = await ask<IdentityRow>(
    client,
    `
    SELECT pg_catalog.pg_backend_pid() AS pid,
           EXISTS (SELECT FROM pg_catalog.pg_locks
                    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                          AND classid = ${BigInt.asUintN(32, identity.lockKey >> 32n)}
                          AND objid = ${BigInt.asUintN(32, identity.lockKey)}) AS locked, ${serverDescription}`,
  )
  if (row?.pid !== processId) throw pooledConnection()
  if (row.locked !== true) throw anotherServer(identity.description, describeServer(row))
}

/**
 * The error for a connection of a run that did not reach the server that the run is about.
 *
 * @param expected - what is known of that server
 * @param found - what is known of the other
 */
export function anotherServer(expected: string, found: string): PbManifestError {
  return new PbManifestError('SERVER', 'a connection reached another server than the one that is backed up', {
    details: [`Backed up is ${expected}.`, `The connection reached ${found}.`],
    hint: 'A load balancer, or an address that moves, may be between: connect to one server itself. Or the server was restarted.',
  })
}

function majorVersionOf({ version }: IdentityRow): number {
  return Math.floor(Number(version) / 10_000)
}

export function describeServer({ address, port, started, name }: ServerDescription): string {
  const place = address === null ? 'a server at a Unix socket' : `the server ${inBrackets(address)}:${port}`
  const title = name === '' ? '' : `"${name}", `
  const since = Number(started) > 0 ? new Date(Number(started) * 1000).toISOString() : 'nobody knows when'
  return `${place} (${title}running since ${since})`
}

function inBrackets(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
