import { createServer, type Server, type Socket, connect } from 'node:net'

/** A link to a server on which each connection has a bandwidth of its own, whatever the others do. */
export interface LimitedProxy {
  readonly port: number
  close(): Promise<void>
}

/** Waits shorter than this, in milliseconds, are too inexact; what is owed is then paid later. */
const SHORTEST_WAIT_MS = 2

/** The depth of the bucket, in milliseconds: what a late timer does not pass on, passes after it. */
const BURST_MS = 100

/**
 * Listens on a loopback port and passes everything on to a Unix socket. What a server sends goes through a token bucket
 * for each connection: no more than `bytesPerSecond` over any longer time.
 */
export async function startLimitedProxy(socketPath: string, bytesPerSecond: number): Promise<LimitedProxy> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(socketPath)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    forwardSlowly(upstream, client, bytesPerSecond)
  })
  const port = await listen(server)
  return {
    port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function forwardSlowly(from: Socket, to: Socket, bytesPerSecond: number): void {
  // When the bucket would be level again, by the clock.
  let paidUntil = performance.now()
  from.on('data', (chunk) => {
    to.write(chunk)
    const now = performance.now()
    paidUntil = Math.max(paidUntil, now - BURST_MS) + (chunk.length / bytesPerSecond) * 1000
    const wait = paidUntil - now
    if (wait < SHORTEST_WAIT_MS) return
    from.pause()
    setTimeout(() => from.resume(), wait)
  })
  from.on('end', () => to.end())
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return address.port
}
