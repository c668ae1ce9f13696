import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createScratchDirectory, type ScratchDirectory } from './scratch-directory.js'

/** Something that a client asked of a server or an agent. */
export interface Request {
  /** `startup`, `startup replication`, `cancel`, `CopyDone`, `Terminate`, or the beginning of a query, in one line. */
  readonly text: string
  /** The connection that it was asked on, counted from 0. */
  readonly connection: number
}

/** `asked`: the server does not know of it yet; `answered`: it was done, but the client does not know; `heard`: it does. */
export type Moment = 'asked' | 'answered' | 'heard'

/** Something that can be done to a connection at a {@link Moment}. */
export interface ProxiedConnection {
  /** Ends it for both sides. */
  cut(): void
  /** Says something to the client in the server's name. */
  say(bytes: Buffer): void
  /** From now on nothing that the server says reaches the client. */
  hold(): void
}

export type AtMoment = (
  request: Request,
  moment: Moment,
  connection: ProxiedConnection,
) => void | Promise<void>

/**
 * A place between a client and a real server or agent, both on Unix sockets, where something can happen at each step of
 * their talk: {@link at} is told of each, and the step waits for it.
 */
export class FaultProxy {
  /** Where its socket is: what `PGHOST` takes. */
  readonly directory: string
  readonly requests: Request[] = []
  /** What was answered on each connection, the first time to its startup. */
  readonly answers: Buffer[][] = []
  at: AtMoment = () => {}
  /** Asked once of each request: after so many bytes of the answer the client is cut off, and the server does not learn of it. */
  limit: (request: Request) => number | undefined = () => undefined
  readonly #scratch: ScratchDirectory
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #connections = 0
  #isFrozen = false

  private constructor(upstream: string) {
    this.#scratch = createScratchDirectory()
    this.directory = this.#scratch.path
    this.#server = createServer((client) => this.#serve(client, connect(upstream)))
  }

  /** @param port - that of the socket in `upstreamDirectory`, and of the proxy's */
  static async start(upstreamDirectory: string, port: number): Promise<FaultProxy> {
    const name = `.s.PGSQL.${port}`
    const proxy = new FaultProxy(join(upstreamDirectory, name))
    await new Promise<void>((resolve) => proxy.#server.listen(join(proxy.directory, name), resolve))
    return proxy
  }

  /** From now on nothing goes through, on connections to come neither, and nobody is told. */
  freeze(): void {
    this.#isFrozen = true
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    this.#scratch.remove()
  }

  #serve(client: Socket, upstream: Socket): void {
    const number = this.#connections++
    const cut = (): void => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', cut)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        if (!this.#isFrozen && !isAbandoned) cut()
      })
    }
    let isHeld = false
    const connection: ProxiedConnection = {
      cut,
      say: (bytes) => void client.write(bytes),
      hold: () => void (isHeld = true),
    }
    const asked: Request[] = []
    const limits = new Map<Request, number | undefined>()
    let answered = 0
    /** As when a firewall forgets a connection: nobody tells the server. */
    let isAbandoned = false
    const answers: Buffer[] = []
    this.answers[number] = answers
    let pieces: Buffer[] = []
    const tell = async (request: Request | undefined, moment: Moment): Promise<void> => {
      if (request !== undefined && !this.#isFrozen) await this.at(request, moment, connection)
    }
    const forward = async (socket: Socket, bytes: Buffer): Promise<void> => {
      if (this.#isFrozen || (isHeld && socket === client)) await new Promise(() => {})
      if (bytes.length === 0 || socket.destroyed || socket.write(bytes)) return
      await once(socket, 'drain')
    }
    const ask = async (): Promise<void> => {
      for await (const { text, bytes } of frontendMessages(client)) {
        const request = text === undefined ? undefined : { text, connection: number }
        if (request !== undefined) {
          this.requests.push(request)
          limits.set(request, this.limit(request))
          asked.push(request)
        }
        await tell(request, 'asked')
        await forward(upstream, bytes)
      }
    }
    const answer = async (): Promise<void> => {
      for await (const { isAnswer, bytes } of backendPieces(upstream)) {
        const request = isAnswer ? asked.shift() : undefined
        pieces.push(bytes)
        if (isAnswer) answers.push(Buffer.concat(pieces))
        if (isAnswer) pieces = []
        const [waiting = request] = asked
        const limit = waiting && limits.get(waiting)
        if (limit !== undefined && answered + bytes.length > limit) {
          isAbandoned = true
          await forward(client, bytes.subarray(0, limit - answered))
          client.destroy()
          await new Promise(() => {})
        }
        answered = isAnswer ? 0 : answered + bytes.length
        await tell(request, 'answered')
        await forward(client, bytes)
        await tell(request, 'heard')
      }
      client.end()
    }
    ask().catch(cut)
    answer().catch(cut)
  }
}

const SSL_REQUEST = 80_877_103
const CANCEL_REQUEST = 80_877_102

/** Whole messages of a client; those that ask for an answer have a text. */
async function* frontendMessages(
  client: Socket,
): AsyncGenerator<{ readonly text: string | undefined; readonly bytes: Buffer }> {
  let buffer = Buffer.alloc(0)
  let hasStarted = false
  for await (const chunk of client) {
    buffer = Buffer.concat([buffer, chunk as Buffer])
    for (;;) {
      const lengthAt = hasStarted ? 1 : 0
      if (buffer.length < lengthAt + 4) break
      const length = lengthAt + buffer.readUInt32BE(lengthAt)
      if (buffer.length < length) break
      const bytes = buffer.subarray(0, length)
      buffer = buffer.subarray(length)
      if (hasStarted) yield { text: describe(bytes), bytes }
      else {
        const code = bytes.readUInt32BE(4)
        hasStarted = code !== SSL_REQUEST
        const isReplication = bytes.includes('replication\0')
        const text = code === CANCEL_REQUEST ? 'cancel' : isReplication ? 'startup replication' : 'startup'
        yield { text, bytes }
      }
    }
  }
}

function describe(message: Buffer): string | undefined {
  const content = message.subarray(5)
  switch (String.fromCharCode(message[0] ?? 0)) {
    case 'Q':
      return oneLine(content.toString('latin1', 0, content.length - 1))
    case 'P':
      return oneLine(
        content.toString('latin1', content.indexOf(0) + 1, content.indexOf(0, content.indexOf(0) + 1)),
      )
    case 'c':
      return 'CopyDone'
    case 'X':
      return 'Terminate'
    default:
      return undefined
  }
}

/** Enough to tell queries apart; without what differs from backup to backup. */
function oneLine(text: string): string {
  const words = text.split(/\s/).filter(Boolean).join(' ')
  return words.replaceAll(/[0-9a-f]{16,}|[0-9A-F]+\/[0-9A-F]+/g, '...').slice(0, 70)
}

/** What a server sends, in pieces; a message that ends an answer (ReadyForQuery, CopyBothResponse) is one of its own. */
async function* backendPieces(
  upstream: Socket,
): AsyncGenerator<{ readonly isAnswer: boolean; readonly bytes: Buffer }> {
  let buffer = Buffer.alloc(0)
  /** Of the message in progress. */
  let remaining = 0
  for await (const chunk of upstream) {
    buffer = Buffer.concat([buffer, chunk as Buffer])
    let at = Math.min(remaining, buffer.length)
    remaining -= at
    while (remaining === 0 && buffer.length - at >= 5) {
      const length = 1 + buffer.readUInt32BE(at + 1)
      if ('ZW'.includes(String.fromCharCode(buffer[at] ?? 0))) {
        if (buffer.length - at < length) break
        yield { isAnswer: false, bytes: buffer.subarray(0, at) }
        yield { isAnswer: true, bytes: buffer.subarray(at, at + length) }
        buffer = buffer.subarray(at + length)
        at = 0
      } else {
        const end = Math.min(at + length, buffer.length)
        remaining = at + length - end
        at = end
      }
    }
    yield { isAnswer: false, bytes: buffer.subarray(0, at) }
    buffer = buffer.subarray(at)
  }
}
