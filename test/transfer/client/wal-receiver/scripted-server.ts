import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

/** One message of the server: a letter and its payload. */
export function message(type: string, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload)
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

export const copyBoth: Buffer = message('W', Buffer.of(0, 0, 0))
export const copyDone: Buffer = message('c')
export const ready: Buffer = message('Z', 'I')

/** WAL at a position, as CopyData. */
export function wal(startLsn: bigint, bytes: Buffer): Buffer {
  const header = Buffer.alloc(25)
  header.write('w')
  header.writeBigUInt64BE(startLsn, 1)
  return message('d', Buffer.concat([header, bytes]))
}

export const replyRequest: Buffer = message(
  'd',
  Buffer.concat([Buffer.from('k'), Buffer.alloc(16), Buffer.of(1)]),
)

/** A row of text values, with its description and the tag of its command. */
export function row(...values: readonly string[]): Buffer {
  const fields = values.map(() =>
    Buffer.concat([Buffer.from('x\0'), Buffer.alloc(6), Buffer.of(0, 0, 0, 25), Buffer.alloc(8)]),
  )
  const count = Buffer.of(0, values.length)
  const data = values.map((value) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(value))
    return Buffer.concat([length, Buffer.from(value)])
  })
  return Buffer.concat([
    message('T', Buffer.concat([count, ...fields])),
    message('D', Buffer.concat([count, ...data])),
    message('C', 'X\0'),
  ])
}

export interface Script {
  /** What the server sends upon START_REPLICATION. */
  readonly stream: Buffer
  /** In pieces of these sizes, over and over. Default: at once. */
  readonly pieces?: readonly number[]
  /** What it answers to TIMELINE_HISTORY, at once or when that is there. */
  readonly history?: Buffer | Promise<Buffer>
  /** Whether it hangs up after that. */
  readonly hangsUp?: boolean
  /** What it answers to our CopyDone. */
  readonly goodbye?: Buffer
}

/**
 * A server that says what it is told to: for what a real one cannot be brought to say. It keeps the payloads of the
 * CopyData messages that it gets.
 */
export class ScriptedServer {
  readonly received: Buffer[] = []
  readonly commands: string[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(script: Script) {
    this.#server = createServer((socket) => this.#serve(socket, script))
  }

  static async listen(directory: string, script: Script): Promise<ScriptedServer> {
    const server = new ScriptedServer(script)
    await new Promise<void>((done) => server.#server.listen(join(directory, '.s.PGSQL.5432'), done))
    return server
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #serve(socket: Socket, script: Script): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    let buffer = Buffer.alloc(0)
    let hasStarted = false
    socket.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk])
      for (;;) {
        const at = hasStarted ? 1 : 0
        if (buffer.length < at + 4 || buffer.length < at + buffer.readUInt32BE(at)) return
        const end = at + buffer.readUInt32BE(at)
        const type = hasStarted ? buffer.toString('latin1', 0, 1) : 'startup'
        const payload = Buffer.from(buffer.subarray(at + 4, end))
        buffer = buffer.subarray(end)
        hasStarted = true
        this.#answer(socket, type, payload, script)
      }
    })
  }

  #answer(socket: Socket, type: string, payload: Buffer, script: Script): void {
    if (type === 'startup') socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]))
    if (type === 'd') this.received.push(payload)
    if (type === 'c') socket.write(script.goodbye ?? Buffer.concat([copyDone, message('C', 'X\0'), ready]))
    if (type !== 'Q') return
    this.commands.push(payload.toString())
    if (payload.toString().startsWith('IDENTIFY_SYSTEM')) {
      socket.write(Buffer.concat([row('1', '1', '0/0', ''), ready]))
    } else if (payload.toString().startsWith('TIMELINE_HISTORY')) {
      void Promise.resolve(script.history ?? ready).then((answer) => socket.write(answer))
    } else if (payload.toString().includes('TIMELINE 1')) {
      void sendInPieces(socket, script)
    }
  }
}

async function sendInPieces(
  socket: Socket,
  { stream, pieces = [stream.length || 1], hangsUp }: Script,
): Promise<void> {
  for (let at = 0, index = 0; at < stream.length; index++) {
    const piece = stream.subarray(at, at + (pieces[index % pieces.length] ?? 1))
    socket.write(piece)
    at += piece.length
    // Most of them travel on their own then.
    await setImmediate()
  }
  if (hangsUp === true) socket.end()
}
