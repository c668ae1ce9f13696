import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { backendMessages } from '../protocol/backend-messages.js'
import type { WireError } from '../wire-error.js'
import type { MakeHandler } from '../wire-handler.js'
import {
  CancelTable,
  defaultLimits,
  WireConnection,
  type WireEvent,
  type WireLimits,
} from './wire-connection.js'
import { adminShutdown } from './connection-errors.js'
import type { ConnectionPlaces } from './connection-places.js'
import type { WireAccess } from './authenticate.js'
import { WireChannel } from './wire-channel.js'

/** A client that has vanished without a word is found out after about so long, in milliseconds. */
const KEEP_ALIVE_MS = 60_000
/** What a client knows a connection by is a positive 32-bit number. */
const MAX_PID = 2 ** 31 - 1

export interface WireServerOptions {
  readonly makeHandler: MakeHandler
  /** What `server_version` says: clients decide by it what they may ask for. */
  readonly serverVersion: string
  /** Further parameters to report, or other values: `in_hot_standby` ... */
  readonly settings?: ReadonlyMap<string, string>
  /** Default: {@link defaultLimits}. */
  readonly limits?: Partial<WireLimits>
  readonly onEvent?: (event: WireEvent) => void
}

/** Where a client comes from, and on what terms. */
export interface WireEntry {
  readonly remote: string
  /** Without the port. */
  readonly host: string
  readonly access: WireAccess
  /** Those of the listener. */
  readonly places: ConnectionPlaces
}

/**
 * Speaks the PostgreSQL frontend/backend protocol 3.0 with any number of clients. It does not listen: whoever does hands
 * over the streams.
 */
export class WireServer {
  readonly #options: WireServerOptions
  readonly #limits: WireLimits
  readonly #settings: ReadonlyMap<string, string>
  readonly #cancels = new CancelTable()
  readonly #open = new Map<number, { readonly channel: WireChannel; readonly over: Promise<void> }>()
  #lastPid = 0
  #closing: WireError | undefined

  constructor(options: WireServerOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#settings = new Map([['server_version', options.serverVersion], ...(options.settings ?? [])])
  }

  /** How many connections are open, those included that are being ended. */
  get connections(): number {
    return this.#open.size
  }

  /** Takes over a client that has just connected. */
  accept(stream: Duplex, entry: WireEntry): void {
    if (stream instanceof Socket) stream.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
    const channel = new WireChannel(stream, this.#limits.stallTimeoutMs)
    const pid = this.#nextPid()
    const over = this.#run(channel, pid, entry).finally(() => this.#open.delete(pid))
    this.#open.set(pid, { channel, over })
  }

  /**
   * Ends all connections, and resolves when their handlers are closed. Those who come later are turned away, too.
   *
   * @param error - what clients are told
   */
  async close(error: WireError = adminShutdown()): Promise<void> {
    this.#closing = error
    const open = [...this.#open.values()]
    for (const { channel } of open) channel.interrupt(error)
    for (const { over } of open) await over
  }

  async #run(channel: WireChannel, pid: number, { remote, host, access, places }: WireEntry): Promise<void> {
    const onEvent = this.#options.onEvent ?? (() => {})
    if (this.#closing !== undefined) {
      onEvent({ type: 'refused', pid, remote, user: undefined, error: this.#closing })
      channel.send(backendMessages.errorResponse(this.#closing))
      await channel.close()
      return
    }
    onEvent({ type: 'connected', pid, remote })
    const place = places.enter({ host, drop: (error) => channel.drop(error) })
    const connection = new WireConnection({
      channel,
      access,
      pid,
      remote,
      cancels: this.#cancels,
      limits: this.#limits,
      settings: this.#settings,
      makeHandler: this.#options.makeHandler,
      admit: () => place.admit(),
      onEvent,
    })
    await connection.run()
    place.leave()
  }

  #nextPid(): number {
    do this.#lastPid = (this.#lastPid % MAX_PID) + 1
    while (this.#open.has(this.#lastPid))
    return this.#lastPid
  }
}
