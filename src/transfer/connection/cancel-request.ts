import { connect, type Socket } from 'node:net'
import type { Client } from 'pg'
import { unixSocketPath } from './guarded-connection.js'

const CANCEL_REQUEST_CODE = 80_877_102

/** Who does not take the request by then does not take it. */
const TIMEOUT_MS = 2000

/** What `pg` learns when it connects, which its types leave out. */
interface BackendKey {
  readonly processID: number | null
  readonly secretKey: number | null
}

/**
 * Asks the server to cancel what a connection runs. Resolves when the server took the request, or did not; never rejects.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function cancelRequest(client: Client): Promise<void> {
  const { processID, secretKey } = client as unknown as BackendKey
  if (processID === null || secretKey === null) return
  const message = Buffer.alloc(16)
  message.writeInt32BE(16, 0)
  message.writeInt32BE(CANCEL_REQUEST_CODE, 4)
  message.writeInt32BE(processID, 8)
  message.writeInt32BE(secretKey, 12)
  const socket = connectLike(client)
  await new Promise<void>((resolve) => {
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    socket.on('error', () => {})
    // The server closes the connection when it has sent the signal.
    socket.on('close', () => resolve())
    socket.end(message)
    socket.resume()
  })
}

/** To the very server of this connection, whatever its host name means by now. */
function connectLike(client: Client): Socket {
  const { remoteAddress, remotePort } = client.connection.stream as Socket
  if (remoteAddress !== undefined && remotePort !== undefined) return connect(remotePort, remoteAddress)
  return connect(unixSocketPath(client.host, client.port))
}
