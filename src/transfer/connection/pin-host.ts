import { isIP, type Socket } from 'node:net'
import type { Client } from 'pg'
import type { ConnectionHost, ConnectionOptions } from './connection-options.js'

/**
 * The same connection options with but the host that this client is connected to, of several, and of a name with several
 * addresses the one that it led to.
 */
export function pinHost(connection: ConnectionOptions, client: Client): ConnectionOptions {
  const { host, port } = client
  const found = connection.hosts.find((one) => (one.address ?? one.host) === host && one.port === port)
  return {
    ...connection,
    hosts: found === undefined ? connection.hosts : [pinAddress(found, client)],
  }
}

function pinAddress(host: ConnectionHost, client: Client): ConnectionHost {
  const { remoteAddress } = client.connection.stream as Socket
  const isName = host.address === undefined && isIP(host.host) === 0
  return isName && remoteAddress !== undefined ? { ...host, address: remoteAddress } : host
}
