import type { PgClient } from './pg-connection.js'
import { isIP, type Socket } from 'node:net'
import type { ConnectionHost, ConnectionOptions } from './settings/connection-options.js'

/**
 * The same connection options with but what this client is connected to: of several hosts that one, of a name with several
 * addresses the one that it led to, and the database.
 */
export function pinHost(connection: ConnectionOptions, client: PgClient): ConnectionOptions {
  const { host, port, database } = client
  const found = connection.hosts.find((one) => (one.address ?? one.host) === host && one.port === port)
  if (found === undefined || database === undefined) return connection
  const password = passwordForDatabase(connection, found, database)
  return {
    ...connection,
    database,
    fallbackDatabases: [],
    hosts: [{ ...found, password, fallbackPasswords: [], address: addressOf(found, client) }],
  }
}

/** The password for one of the databases that the options name. */
export function passwordForDatabase(
  { fallbackDatabases }: ConnectionOptions,
  host: ConnectionHost,
  database: string,
): string | undefined {
  const place = fallbackDatabases.indexOf(database)
  return place === -1 ? host.password : host.fallbackPasswords[place]
}

function addressOf(host: ConnectionHost, client: PgClient): string | undefined {
  const { remoteAddress } = client.connection.stream as Socket
  const isName = host.address === undefined && isIP(host.host) === 0
  return isName ? remoteAddress : host.address
}
