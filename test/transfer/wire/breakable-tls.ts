import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { RawClient, sslRequest } from './raw-client.js'

/** A client within TLS that can also write beside it, as somebody between the two could. */
export interface BreakableTls {
  readonly client: RawClient
  readonly socket: TLSSocket
  /** Sends a record that nobody has encrypted. */
  readonly breakRecord: () => void
}

export async function connectBreakableTls(
  port: number,
  version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
): Promise<BreakableTls> {
  const raw = await RawClient.connect({ host: '127.0.0.1', port })
  await raw.send(sslRequest).byte()
  raw.socket.removeAllListeners('data')
  const between = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => raw.socket.write(chunk, () => done()),
    final: (done) => raw.socket.end(() => done()),
  })
  raw.socket.on('data', (chunk: Buffer) => between.push(chunk))
  raw.socket.on('end', () => between.push(null))
  raw.socket.on('close', () => between.destroy())
  // The alert that the other side answers with.
  between.on('error', () => {})
  const socket = connect({
    socket: between,
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
    ALPNProtocols: ['postgresql'],
  })
  const client = RawClient.over(socket)
  await once(socket, 'secureConnect')
  const record = Buffer.concat([Buffer.from('1703030040', 'hex'), Buffer.alloc(0x40, 'x')])
  return { client, socket, breakRecord: () => void raw.socket.write(record) }
}
