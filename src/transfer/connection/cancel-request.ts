import { connect, type Socket } from 'node:net'
import { formatCancelRequest } from '../wire/protocol/startup-packet.js'
import { type PgClient, unixSocketPath } from './pg-connection.js'

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
