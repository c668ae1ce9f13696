import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { MakeHandler, WireClose, WireClient } from '../../../../src/transfer/wire/wire-handler.js'
import type { WireAccess } from '../../../../src/transfer/wire/server/authenticate.js'
import { ConnectionPlaces, type PlaceLimits } from '../../../../src/transfer/wire/server/connection-places.js'
import type { WireEvent, WireLimits } from '../../../../src/transfer/wire/server/wire-connection.js'
import { WireServer } from '../../../../src/transfer/wire/server/wire-server.js'
import { createScratchDirectory, type ScratchDirectory } from '../../../helpers/scratch-directory.js'
import { poll } from '../../../helpers/poll.js'
import { RawClient } from '../raw-client.js'
import { ScriptHandler } from './script-handler.js'

export interface FixtureOptions {
  readonly access?: WireAccess
  readonly limits?: Partial<WireLimits>
  /** Of each of the two listeners. */
  readonly places?: Partial<PlaceLimits>
  /** Default: a {@link ScriptHandler}. */
  readonly makeHandler?: MakeHandler
  /** See {@link ScriptHandler.maxCount}. */
  readonly maxCount?: number
  /** Which clients, counted from 1, may be idle for as long as they like. Default: none. */
  readonly mayIdle?: (client: number) => boolean
}

/** A server on a Unix socket and on a port of the loopback, and what was heard of it. */
export class WireFixture {
  readonly events: WireEvent[] = []
  readonly handlers: ScriptHandler[] = []
  readonly closed: WireClose[] = []
  readonly scratch: ScratchDirectory = createScratchDirectory()
  readonly server: WireServer
  readonly #listeners: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #access: WireAccess
  readonly #places: PlaceLimits
  readonly #maxCount: number | undefined
  readonly #mayIdle: (client: number) => boolean

  private constructor({ access, limits, makeHandler, places, maxCount, mayIdle }: FixtureOptions) {
    this.#maxCount = maxCount
    this.#mayIdle = mayIdle ?? (() => false)
    this.#places = { maxConnections: 100, maxUnauthenticated: 100, ...places }
    this.#access = access ?? { authentication: { method: 'trust' } }
    this.server = new WireServer({
      serverVersion: '15.0 (test)',
      makeHandler: makeHandler ?? ((session) => this.#makeHandler(session)),
      onEvent: (event) => this.events.push(event),
      ...(limits === undefined ? {} : { limits }),
    })
  }

  static async start(options: FixtureOptions = {}): Promise<WireFixture> {
    const fixture = new WireFixture(options)
    await fixture.#listen({ path: join(fixture.socketDirectory, '.s.PGSQL.5432') })
    await fixture.#listen({ host: '127.0.0.1', port: 0 })
    return fixture
  }

  get socketDirectory(): string {
    return this.scratch.path
  }

  get port(): number {
    const address = this.#listeners[1]?.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Our ends of the connections that are not closed yet. */
  get sockets(): readonly Socket[] {
    return [...this.#sockets]
  }

  /** The messages of all errors that were told of. */
  errors(): string[] {
    return this.events.flatMap((event) =>
      'error' in event && event.error instanceof Error ? [event.error.message] : [],
    )
  }

  /** Waits until the last connection is gone. */
  async quiet(): Promise<void> {
    await poll('all connections to be closed', async () =>
      Promise.resolve(this.server.connections === 0 && this.#sockets.size === 0),
    )
  }

  /** Waits until the last connection is gone, when each handler has to be closed, exactly once. */
  async requireClosed(): Promise<void> {
    await this.quiet()
    if (this.closed.length !== this.handlers.length) throw new Error('a handler was not closed once')
  }

  /** Waits until a query runs. */
  async running(): Promise<void> {
    await poll('a query to run', async () =>
      Promise.resolve(this.handlers.some(({ running }) => running > 0)),
    )
  }

  async connect(): Promise<RawClient> {
    return await RawClient.connect({ path: join(this.socketDirectory, '.s.PGSQL.5432') })
  }

  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.close()
    await this.server.close()
    this.scratch.remove()
  }

  async #listen(where: { path: string } | { host: string; port: number }): Promise<void> {
    const places = new ConnectionPlaces(this.#places)
    const listener = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      const { remoteAddress: host = '[local]' } = socket
      const remote = 'path' in where ? 'socket' : 'tcp'
      this.server.accept(socket, { remote, host, access: this.#access, places })
    })
    this.#listeners.push(listener)
    await new Promise<void>((resolve) => listener.listen(where, resolve))
  }

  async #makeHandler(session: WireClient): Promise<ScriptHandler> {
    const handler = new ScriptHandler(session, (how) => this.closed.push(how))
    handler.maxCount = this.#maxCount ?? handler.maxCount
    this.handlers.push(handler)
    handler.mayIdle = this.#mayIdle(this.handlers.length)
    return await Promise.resolve(handler)
  }
}
