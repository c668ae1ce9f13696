import type { Server } from 'node:net'

/** Resolves when a server listens, or rejects with what kept it from that. */
export async function whenListening(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', reject)
  })
  server.removeAllListeners('error')
  // Accepting a connection may fail for want of descriptors; the next one is accepted again.
  server.on('error', () => {})
}
