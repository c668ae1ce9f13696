import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Cluster } from './cluster.js'

/** Where somebody listens. */
type Place = Pick<Cluster, 'socketDirectory' | 'port'>

/** What stands between clients and several servers, under one address. Without TLS. */
export class TcpProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(route: (startupPacket: string, number: number) => Place) {
    let connections = 0
    this.#server = createServer((client) => {
      this.#keep(client)
      client.once('data', (packet: Buffer) => {
        const { socketDirectory, port } = route(packet.toString('latin1'), connections++)
        const upstream = connect(`${socketDirectory}/.s.PGSQL.${String(port)}`)
        this.#keep(upstream)
        upstream.write(packet)
        client.pipe(upstream).pipe(client)
        client.on('close', () => upstream.destroy())
        upstream.on('close', () => client.destroy())
      })
    })
  }

  /** @param route - chooses by the first packet, and by how many connections there were before */
  static async listen(route: (startupPacket: string, number: number) => Place): Promise<TcpProxy> {
    const proxy = new TcpProxy(route)
    await new Promise<void>((done) => proxy.#server.listen(0, '127.0.0.1', done))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
