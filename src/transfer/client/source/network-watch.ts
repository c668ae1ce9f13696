import { SqlConnection } from '../../cluster-files/sql/sql-connection.js'
import { connectToServer } from '../../connection/gate/connect-sql.js'
import type { FoundServer } from '../../connection/gate/server-identity.js'

const INTERVAL_MS = 250

/** A backend that waits to be rid of bytes: the network does not take them, or we do not. */
const query = `
  SELECT pg_catalog.count(*) FILTER (WHERE wait_event = 'ClientWrite')::int AS blocked, pg_catalog.count(*)::int AS all
    FROM pg_catalog.pg_stat_activity WHERE pid = ANY ($1::int[]) AND state = 'active'`

/**
 * Looks now and then at what the server's side of the workers is doing: does it read files, or does it wait for the
 * network? It is for the report only: without a connection for it, nothing is known.
 */
export class NetworkWatch {
  readonly #connection: SqlConnection
  readonly #timer: NodeJS.Timeout
  #blocked = 0
  #seen = 0
  #isLooking = false

  private constructor(connection: SqlConnection, pids: () => readonly number[]) {
    this.#connection = connection
    this.#timer = setInterval(() => {
      if (!this.#isLooking) this.#look(pids()).catch(() => clearInterval(this.#timer))
    }, INTERVAL_MS)
  }

  /** @param pids - the processes of the workers' connections, as far as they are known */
  static async start(
    server: FoundServer,
    pids: () => readonly number[],
    signal: AbortSignal,
  ): Promise<NetworkWatch | undefined> {
    try {
      return new NetworkWatch(await SqlConnection.open(() => connectToServer(server, signal)), pids)
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
    await this.#connection.close()
  }

  async #look(pids: readonly number[]): Promise<void> {
    this.#isLooking = true
    const [row] = await this.#connection.rows<{ blocked: number; all: number }>(query, [pids])
    this.#blocked += row?.blocked ?? 0
    this.#seen += row?.all ?? 0
    this.#isLooking = false
  }
}
