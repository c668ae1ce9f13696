import type { Client } from 'pg'
import { connect, endConnection } from '../connection/connect.js'
import type { ConnectionOptions } from '../connection/connection-options.js'

const INTERVAL_MS = 250

/** A backend that waits to be rid of bytes: the network does not take them, or we do not. */
const query = `
  SELECT count(*) FILTER (WHERE wait_event = 'ClientWrite')::int AS blocked, count(*)::int AS all
    FROM pg_stat_activity WHERE pid = ANY ($1::int[]) AND state = 'active'`

/**
 * Looks now and then at what the server's side of the workers is doing: does it read files, or does it wait for the
 * network? It is for the report only: without a connection for it, nothing is known.
 */
export class NetworkWatch {
  readonly #client: Client
  readonly #timer: NodeJS.Timeout
  #blocked = 0
  #seen = 0

  private constructor(client: Client, pids: () => readonly number[]) {
    this.#client = client
    this.#timer = setInterval(() => {
      this.#look(pids()).catch(() => clearInterval(this.#timer))
    }, INTERVAL_MS)
  }

  /** @param pids - the processes of the workers' connections, as far as they are known */
  static async start(
    connection: ConnectionOptions,
    pids: () => readonly number[],
    signal: AbortSignal,
  ): Promise<NetworkWatch | undefined> {
    try {
      return new NetworkWatch(await connect(connection, { signal }), pids)
    } catch {
      return undefined
    }
  }

  /** Of all times at which a worker's backend was seen at work: how many it waited for the network, 0 to 1. */
  get share(): number {
    return this.#seen === 0 ? 0 : this.#blocked / this.#seen
  }

  /** Never throws. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await endConnection(this.#client)
  }

  async #look(pids: readonly number[]): Promise<void> {
    const { rows } = await this.#client.query<{ blocked: number; all: number }>(query, [pids])
    this.#blocked += rows[0]?.blocked ?? 0
    this.#seen += rows[0]?.all ?? 0
  }
}
