import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { type Address, addressOf, listenAt } from '../listen/listen-on-address.js'

/** A scrape is over in no time; whoever takes longer is none. */
const TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 16

/** Answers `GET /metrics`, and nothing else. */
export class MetricsServer {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** @throws {@link PbManifestError} `IO` */
  static async start(address: Address, format: () => string): Promise<MetricsServer> {
    const server = createServer(
      { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS },
      (request, response) => {
        const { method, url } = request
        if (url !== '/metrics') return void response.writeHead(404).end()
        if (method !== 'GET' && method !== 'HEAD') return void response.writeHead(405, { allow: 'GET' }).end()
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
        return void response.end(format())
      },
    )
    keepNewest(server)
    await listenAt(server, address)
    return new MetricsServer(server)
  }

  get address(): Address {
    return addressOf(this.#server)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

/** Whoever asks is answered at once, so those who have been here longest are the ones that say nothing. */
function keepNewest(server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const [oldest] = sockets
    if (sockets.size > MAX_CONNECTIONS) oldest?.destroy()
  })
}
