import type { Duplex } from 'node:stream'
import type { Client } from 'pg'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { ServerMessages } from './server-messages.js'

/** How `pg` begins to listen to a stream, which its types leave out. */
interface ListeningConnection {
  attachListeners(stream: Duplex): void
}

type DataListener = (bytes: Buffer) => void

/**
 * Has everything that a server sends looked at before `pg` sees it ({@link ServerMessages}). What is wrong with it, or is
 * more than `pg` can take, ends the connection with an error; thrown where `pg` reads, it would end the process.
 *
 * @param client - that has not connected yet
 */
export function guardMessages(client: Client): void {
  const connection = client.connection as unknown as ListeningConnection
  const attachListeners = connection.attachListeners.bind(connection)
  connection.attachListeners = (stream) => {
    attachListeners(stream)
    const listeners = stream.listeners('data') as DataListener[]
    stream.removeAllListeners('data')
    const messages = new ServerMessages((message) => {
      for (const listener of listeners) listener.call(stream, message)
    })
    stream.on('data', (chunk: Buffer) => {
      try {
        messages.push(chunk)
      } catch (error) {
        stream.destroy(breachOfProtocol(error))
      }
    })
  }
}

function breachOfProtocol(cause: unknown): PbManifestError {
  if (isPbManifestError(cause)) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PbManifestError('SERVER', `the server does not keep to the protocol: ${reason}`, { cause })
}
