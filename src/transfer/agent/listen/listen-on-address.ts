import { createServer, type Server, type Socket } from 'node:net'
import { PbManifestError } from '../../../errors.js'
import { describeSystemError } from '../../../files/system-error.js'

/** A TCP address. */
export interface Address {
  /** A name or a number; `*` for all there are. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

/** @throws {@link PbManifestError} `IO` */
export async function listenOnAddress(
  address: Address,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer(onConnection)
  await listenAt(server, address)
  return server
}

/**
 * Has a server listen.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function listenAt(server: Server, { host, port }: Address): Promise<void> {
  const listening = whenListening(server)
  server.listen({ port, ...(host !== '*' && { host }) })
  try {
    await listening
  } catch (cause) {
    const reason =
      describeSystemError(cause)?.message ?? (cause instanceof Error ? cause.message : String(cause))
    throw new PbManifestError('IO', `could not listen on "${formatAddress({ host, port })}": ${reason}`, {
      cause,
    })
  }
}

/** The address that a server got. */
export function addressOf(server: Server): Address {
  const address = server.address()
  if (address === null || typeof address === 'string')
    throw new Error('the server does not listen on an address')
  return { host: address.address, port: address.port }
}

/** `HOST:PORT`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** @returns `undefined` when it is not `HOST:PORT` */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host === undefined || port > 65_535 ? undefined : { host, port }
}

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
