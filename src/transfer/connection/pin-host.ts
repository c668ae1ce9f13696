import type { PgClient } from './pg-connection.js'
import { isIP, type Socket } from 'node:net'
import type { ConnectionHost, ConnectionOptions } from './connection-options.js'

/**
 * The same connection options with but what this client is connected to: of several hosts that one, of a name with several
 * addresses the one that it led to, and the database.
 */
export function pinHost(connection: ConnectionOptions, client: PgClient): ConnectionOptions {
  const { host, port, database } = client
  const found = connection.hosts.find((one) => (one.address ?? one.host) === host && one.port === port)
  if (found === undefined || database === undefined) return connection
  const password = database === connection.fallbackDatabase ? found.fallbackPassword : found.password
  return {
    ...connection,
    database,
    fallbackDatabase: undefined,
    hosts: [{ ...found, password, address: addressOf(found, client) }],
  }
}

function addressOf(host: ConnectionHost, client: PgClient): string | undefined {
  const { remoteAddress } = client.connection.stream as Socket
  const isName = host.address === undefined && isIP(host.host) === 0
  return isName ? remoteAddress : host.address
}
