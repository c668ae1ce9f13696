import type { Client } from 'pg'
import type { ConnectionOptions } from './connection-options.js'

/** The same connection options with but the host, of several, that this client is connected to. */
export function pinHost(connection: ConnectionOptions, { host, port }: Client): ConnectionOptions {
  const hosts = connection.hosts.filter((one) => (one.address ?? one.host) === host && one.port === port)
  return { ...connection, hosts: hosts.slice(0, 1) }
}
