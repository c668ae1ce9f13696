import { RecoveryConflicts } from './sql-error.js'
import { type Connect, SqlConnection } from './sql-connection.js'

/** A connection, and another one in its place when it stood in the way of a standby's replay. */
export class RenewableConnection {
  readonly #connect: Connect
  #current: SqlConnection
  #isClosed = false

  private constructor(connect: Connect, current: SqlConnection) {
    this.#connect = connect
    this.#current = current
  }

  /** @throws {@link PbManifestError} `SERVER` */
  static async open(connect: Connect): Promise<RenewableConnection> {
    return new RenewableConnection(connect, await SqlConnection.open(connect))
  }

  get current(): SqlConnection {
    return this.#current
  }

  /**
   * Asks over this connection, and again over another one when a standby cannot wait for the answer.
   *
   * @throws {@link PbManifestError} `SERVER`, or what `ask` throws
   */
  async ask<Answer>(ask: (connection: SqlConnection) => Promise<Answer>): Promise<Answer> {
    const conflicts = new RecoveryConflicts()
    for (;;) {
      try {
        return await ask(this.#current)
      } catch (error) {
        if (!conflicts.allowRetry(error)) throw error
        await this.renew()
      }
    }
  }

  /**
   * Connects again.
   *
   * @throws {@link PbManifestError} `SERVER`
   */
  async renew(): Promise<void> {
    await this.#current.close()
    this.#current = await SqlConnection.open(this.#connect)
    if (this.#isClosed) await this.#current.close()
  }

  /** Ends it, and what it runs, at once. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#current.close()
  }
}
