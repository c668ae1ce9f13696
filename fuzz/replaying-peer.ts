import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

/** What a server said on one connection: the first to the startup packet, then one to each request. */
export type Recording = readonly Buffer[]

/** In milliseconds. */
const PATIENCE_MS = 500

export interface Replay {
  /** Of the connections, in the order in which they are made. */
  readonly recordings: readonly Recording[]
  /** One that is not what was recorded; its connection ends when nothing comes for a while after it. */
  readonly damaged?: Buffer
}

/**
 * A peer that answers each request with what a real one answered to the request of the same place, whatever it is: a client
 * that asks the same things in the same order believes it.
 */
export class ReplayingPeer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #recordings: Recording[]
  readonly #damaged: Buffer | undefined

  private constructor({ recordings, damaged }: Replay) {
    this.#recordings = [...recordings]
    this.#damaged = damaged
    this.#server = createServer((socket) => this.#serve(socket, this.#recordings.shift() ?? []))
  }

  static async listen(directory: string, port: number, replay: Replay): Promise<ReplayingPeer> {
    const peer = new ReplayingPeer(replay)
    await new Promise<void>((done) => {
      peer.#server.listen(join(directory, `.s.PGSQL.${port}`), done)
    })
    return peer
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(socket: Socket, recording: Recording): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    const answers = [...recording]
    const requests = new RequestCounter()
    socket.on('data', (chunk: Buffer) => {
      for (let left = requests.push(chunk); left > 0; left--) {
        const answer = answers.shift()
        if (answer === undefined) socket.end()
        else socket.write(answer)
        // It may announce what will never come.
        if (answer !== undefined && answer === this.#damaged) {
          socket.setTimeout(PATIENCE_MS, () => socket.destroy())
        }
      }
    })
  }
}

/** Counts the messages of a client that ask for an answer. */
class RequestCounter {
  #buffer = Buffer.alloc(0)
  #hasStarted = false

  push(chunk: Buffer): number {
    this.#buffer = Buffer.concat([this.#buffer, chunk])
    let requests = 0
    for (;;) {
      const at = this.#hasStarted ? 1 : 0
      if (this.#buffer.length < at + 4) return requests
      const length = at + this.#buffer.readUInt32BE(at)
      if (this.#buffer.length < length) return requests
      // A query, the end of an extended one (Sync), or of a COPY.
      if (!this.#hasStarted || 'QSc'.includes(String.fromCharCode(this.#buffer[0] ?? 0))) requests++
      this.#buffer = this.#buffer.subarray(length)
      this.#hasStarted = true
    }
  }
}
