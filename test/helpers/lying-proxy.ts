import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createScratchDirectory } from './scratch-directory.js'

/** Which bytes of the server are replaced by which others, as many. */
export interface Lie {
  readonly truth: string | Buffer
  readonly lie: string | Buffer
}

/** A server's Unix socket in a directory of its own, behind which a real server seems to say other things than it does. */
export interface LyingProxy {
  /** What `PGHOST` takes. */
  readonly socketDirectory: string
  /** How often it has lied. */
  readonly lies: number
  close(): Promise<void>
}

/** Puts one before the server with this socket. */
export async function startLyingProxy(
  server: { readonly socketDirectory: string; readonly port: number },
  lie: Lie,
): Promise<LyingProxy> {
  const scratch = createScratchDirectory()
  const name = `.s.PGSQL.${String(server.port)}`
  const sockets = new Set<Socket>()
  let lies = 0
  const proxy = createServer((client) => {
    const upstream = connect(join(server.socketDirectory, name))
    const end = (): void => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', end)
      socket.on('close', end)
    }
    client.pipe(upstream)
    const replace = createReplacer(lie, () => lies++)
    upstream.on('data', (chunk: Buffer) => client.write(replace(chunk)))
  })
  await new Promise<void>((resolve) => {
    proxy.listen(join(scratch.path, name), resolve)
  })
  return {
    socketDirectory: scratch.path,
    get lies() {
      return lies
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
      scratch.remove()
    },
  }
}

/** Holds back no more than what may be the beginning of the truth. */
function createReplacer({ truth, lie }: Lie, onLie: () => void): (chunk: Buffer) => Buffer {
  const [from, to] = [Buffer.from(truth), Buffer.from(lie)]
  if (from.length !== to.length) throw new Error('a lie has to be as long as the truth')
  let kept: Buffer = Buffer.alloc(0)
  return (chunk) => {
    const bytes = Buffer.concat([kept, chunk])
    for (let at = bytes.indexOf(from); at !== -1; at = bytes.indexOf(from, at + to.length)) {
      to.copy(bytes, at)
      onLie()
    }
    let keep = Math.min(from.length - 1, bytes.length)
    while (!from.subarray(0, keep).equals(bytes.subarray(bytes.length - keep))) keep--
    kept = bytes.subarray(bytes.length - keep)
    return bytes.subarray(0, bytes.length - keep)
  }
}
