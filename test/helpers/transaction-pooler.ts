import { createServer, type Server, type Socket, connect } from 'node:net'
import { join } from 'node:path'
import type { Cluster } from './cluster.js'

export interface PoolerOptions {
  /** Made up, as pgbouncer's, or that of the first of the server's connections. */
  readonly processId: 'made-up' | 'of-a-backend'
  /** Whether it refuses settings in a startup packet, as pgbouncer does unless it is told otherwise. */
  readonly refusesOptions?: boolean
}

/**
 * A pooler that lends its two connections to the server to its clients in turn, for one transaction at a time. It listens
 * on a Unix socket, and takes no password.
 */
export class TransactionPooler {
  readonly #server: Server
  readonly #options: PoolerOptions
  readonly #backends: readonly Backend[]
  #next = 0

  private constructor(options: PoolerOptions, backends: readonly Backend[]) {
    this.#options = options
    this.#backends = backends
    this.#server = createServer((client) => this.#serve(client))
  }

  static async listen(
    directory: string,
    cluster: Cluster,
    options: PoolerOptions,
  ): Promise<TransactionPooler> {
    const backends = [await Backend.start(cluster), await Backend.start(cluster)]
    const pooler = new TransactionPooler(options, backends)
    await new Promise<void>((done) => pooler.#server.listen(join(directory, '.s.PGSQL.5432'), done))
    return pooler
  }

  close(): void {
    for (const { socket } of this.#backends) socket.destroy()
    this.#server.close()
  }

  #serve(client: Socket): void {
    client.on('error', () => {})
    let backend: Backend | undefined
    client.once('data', (startup: Buffer) => {
      client.write(this.#greet(startup))
      client.on('data', (bytes: Buffer) => {
        // Clients of these tests send one query at a time, in one packet.
        if (bytes[0] === 0x58) return
        backend ??= this.#backends[this.#next++ % this.#backends.length]
        backend?.run(bytes, client, () => {
          backend = undefined
        })
      })
    })
  }

  #greet(startup: Buffer): Buffer {
    if (this.#options.refusesOptions === true && startup.includes('options\0')) {
      const fields = ['SFATAL', 'C08P01', 'Munsupported startup parameter: options'].join('\0')
      return message('E', Buffer.from(`${fields}\0\0`))
    }
    const key = Buffer.alloc(8)
    key.writeInt32BE(this.#options.processId === 'made-up' ? 1 : (this.#backends[0]?.processId ?? 0))
    return Buffer.concat([message('R', Buffer.alloc(4)), message('K', key), message('Z', Buffer.from('I'))])
  }
}

/** A connection to the server. */
class Backend {
  readonly socket: Socket
  processId = 0
  #onBytes: (bytes: Buffer) => void = () => {}

  private constructor(cluster: Cluster) {
    this.socket = connect(`${cluster.socketDirectory}/.s.PGSQL.${String(cluster.port)}`)
    this.socket.on('data', (bytes: Buffer) => this.#onBytes(bytes))
  }

  static async start(cluster: Cluster): Promise<Backend> {
    const backend = new Backend(cluster)
    const body = Buffer.from('\0\x03\0\0user\0postgres\0database\0postgres\0\0', 'latin1')
    const length = Buffer.alloc(4)
    length.writeInt32BE(body.length + 4)
    backend.socket.write(Buffer.concat([length, body]))
    const greeting = await new Promise<Buffer>((resolve) => {
      backend.#collect(resolve)
    })
    backend.processId = greeting.readInt32BE(greeting.indexOf(Buffer.from('K\0\0\0\x0c', 'latin1')) + 5)
    return backend
  }

  /** Passes a query on, and its answers back; the backend is free when these end outside of a transaction. */
  run(query: Buffer, client: Socket, onFree: () => void): void {
    this.socket.write(query)
    this.#collect((answers) => {
      client.write(answers)
      if (answers.at(-1) === 'I'.charCodeAt(0)) onFree()
    })
  }

  #collect(onReady: (bytes: Buffer) => void): void {
    let bytes = Buffer.alloc(0)
    this.#onBytes = (more) => {
      bytes = Buffer.concat([bytes, more])
      // ReadyForQuery ends whatever is asked here, and is six bytes long.
      if (bytes.subarray(-6, -1).toString('latin1') !== 'Z\0\0\0\x05') return
      this.#onBytes = () => {}
      onReady(bytes)
    }
  }
}

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}
