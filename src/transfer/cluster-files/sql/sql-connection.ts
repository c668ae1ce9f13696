import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, QueryResultRow } from 'pg'
import type { SqlClient } from '../../connection/gate/connect-sql.js'
import { DatabaseError } from '../../connection/pg.js'
import { isPbManifestError, type PbManifestError } from '../../../errors.js'
import { expectAnswer, longestSilence } from '../../connection/answer-watch.js'
import { Arrivals } from '../../connection/arrivals.js'
import { cancelRequest, type ConnectionConsumer, endConnection } from '../../connection/pg-connection.js'
import { explainLoss } from '../../connection/keep-alive.js'
import { RecoveryConflicts, sqlError } from './sql-error.js'

/** How long the server may take to cancel a query before the connection is cut. */
const CANCEL_TIMEOUT_MS = 5000

/** Makes a connection. */
export type Connect = () => Promise<SqlClient>

/** A connection to the server for plain queries and for COPY ... TO STDOUT, one at a time. */
export class SqlConnection {
  readonly #client: SqlClient
  readonly #role: string
  /** The data of the COPY that runs. */
  #copy: Arrivals<Buffer> | undefined
  /** The query that runs, for those that come meanwhile. */
  #running: Promise<unknown> | undefined
  #closed: Promise<void> | undefined
  #loss: PbManifestError | undefined
  /** Resolves with the reason when the connection ends otherwise than by {@link close}; else it never does. */
  readonly lost: Promise<PbManifestError>

  private constructor(client: SqlClient) {
    this.#client = client
    this.#role = client.user ?? ''
    this.lost = new Promise((resolve) => {
      // The first report has the server's words, a later one only that the connection is gone.
      client.on('error', (error: unknown) => {
        if (this.#closed !== undefined) return
        this.#loss ??= this.#explain(error)
        resolve(this.#loss)
      })
    })
    client.connection.handOver(this.#copyDataConsumer())
    this.#askNowAndThen()
  }

  /** @throws {@link PbManifestError} `SERVER` */
  static async open(connect: Connect): Promise<SqlConnection> {
    return new SqlConnection(await connect())
  }

  /**
   * Runs a query, again when a standby cancels it; of several, separated by semicolons, returns the rows of the last.
   *
   * @param takesItsTime - whether the server may be silent for any time: it waits for something itself
   * @throws {@link PbManifestError} `SERVER`
   */
  async rows<Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
    { takesItsTime = false }: { readonly takesItsTime?: boolean } = {},
  ): Promise<readonly Row[]> {
    const conflicts = new RecoveryConflicts()
    let conflict: PbManifestError | undefined
    for (;;) {
      try {
        return await this.#rowsOf<Row>(text, values, takesItsTime)
      } catch (error) {
        if (!isPbManifestError(error)) throw error
        // The connection may have ended with the conflict, or what was asked for was done, and cannot be done twice.
        if (!conflicts.allowRetry(error)) throw conflict ?? error
        conflict ??= error
      }
    }
  }

  #explain(error: unknown): PbManifestError {
    return explainLoss(sqlError(error, this.#role), this.#client)
  }

  async #rowsOf<Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[],
    takesItsTime: boolean,
  ): Promise<readonly Row[]> {
    while (this.#running !== undefined) await this.#running
    if (this.#copy !== undefined) throw new Error('a query on a connection whose COPY is not over')
    if (this.#loss !== undefined) throw this.#loss
    const query = this.#client.query<Row>({ text, values: [...values] })
    this.#running = query.catch(() => {})
    const hasCome = takesItsTime ? undefined : expectAnswer(this.#client.connection.stream)
    try {
      const results = [await query].flat()
      return results.at(-1)?.rows ?? []
    } catch (error) {
      throw this.#explain(error)
    } finally {
      hasCome?.()
      this.#running = undefined
    }
  }

  /**
   * The data of `COPY ... TO STDOUT`, as much at a time as is there, in pieces that are valid until more is asked for. The
   * connection is closed when they are not all taken: the server cannot be made to skip the rest.
   *
   * @throws {@link PbManifestError} `SERVER` or `ABORTED`
   */
  async *copyOut(text: string, signal?: AbortSignal): AsyncGenerator<readonly Buffer[], void, undefined> {
    while (this.#running !== undefined) await this.#running
    if (this.#copy !== undefined) throw new Error('a COPY on a connection whose COPY is not over')
    if (this.#loss !== undefined) throw this.#loss
    const copy = new Arrivals<Buffer>(this.#client.connection.flow)
    this.#copy = copy
    let isInStep = false
    try {
      this.#client.query(new CopyOut(text, copy))
      for await (const pieces of copy.batches(signal)) yield pieces
      isInStep = true
    } catch (error) {
      // An error that the server reported is the end of the COPY, and nothing of it follows.
      isInStep = error instanceof DatabaseError
      throw sqlError(error, this.#role)
    } finally {
      this.#copy = undefined
      if (!isInStep) await this.close()
    }
  }

  /** Ends the connection, and what it runs, at once. Safe to call at any time, more than once. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    // A query that sends nothing, such as a wait for a checkpoint, would not notice that we are gone.
    if (this.#running !== undefined) {
      await cancelRequest(this.#client)
      await Promise.race([this.#running, sleep(CANCEL_TIMEOUT_MS, undefined, { ref: false })])
    }
    if (this.#copy !== undefined) this.#client.connection.stream.destroy()
    await endConnection(this.#client)
  }

  /**
   * Where silence is limited, it is so while there is nothing to ask as well: of a server that hangs one would else learn
   * late, or, while another connection waits for a checkpoint, never.
   */
  #askNowAndThen(): void {
    const silence = longestSilence(this.#client.connection.stream)
    if (silence === undefined) return
    const timer = setInterval(() => {
      const isIdle = this.#running === undefined && this.#copy === undefined
      if (isIdle && this.#closed === undefined && this.#loss === undefined) this.rows('').catch(ignore)
    }, silence / 2)
    timer.unref()
    this.#client.once('end', () => clearInterval(timer))
  }

  /** The data of a COPY; all else is for `pg`. */
  #copyDataConsumer(): ConnectionConsumer {
    const running = (): Arrivals<Buffer> | undefined => this.#copy
    return {
      consumesPieces: true,
      get arrivals() {
        return running()
      },
      consume: (message) => {
        if (message.type !== 'copy-data') return false
        this.#copy?.push(message.bytes, message.bytes.length)
        return true
      },
    }
  }
}

function ignore(): void {
  // The loss of the connection is told by another way.
}

/**
 * One COPY ... TO STDOUT, as the query object that `pg` hands the server's messages to. The data does not come this way:
 * who takes it out of the stream passes it on.
 */
class CopyOut {
  readonly #text: string
  readonly #data: Arrivals<Buffer>

  /** @param data - is told how the COPY ends */
  constructor(text: string, data: Arrivals<Buffer>) {
    this.#text = text
    this.#data = data
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  handleError(error: unknown): void {
    this.#data.fail(error)
  }

  handleReadyForQuery(): void {
    this.#data.end()
  }

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleCommandComplete(): void {}

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}
}
