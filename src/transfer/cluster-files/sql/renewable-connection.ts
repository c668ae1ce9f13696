import { type ConnectionRetries, LostConnections } from '../../connection/lost-connection.js'
import { RecoveryConflicts } from './sql-error.js'
import { type Connect, SqlConnection } from './sql-connection.js'

/** A connection, and another one in its place when it stood in the way of a standby's replay, or was lost. */
export class RenewableConnection {
  readonly #connect: Connect
  readonly #losses: LostConnections
  #current: SqlConnection
  #isClosed = false

  private constructor(connect: Connect, current: SqlConnection, losses: LostConnections) {
    this.#connect = connect
    this.#current = current
    this.#losses = losses
  }

  /**
   * @param retries - what is done when it is lost; by default that is final
   * @throws {@link PbManifestError} `SERVER`
   */
  static async open(connect: Connect, retries?: ConnectionRetries): Promise<RenewableConnection> {
    const losses = new LostConnections(retries)
    return new RenewableConnection(connect, await SqlConnection.open(connect), losses)
  }

  get current(): SqlConnection {
    return this.#current
  }

  /**
   * Asks over this connection, and again over another one when a standby cannot wait for the answer, or this one is lost.
   *
   * @throws {@link PbManifestError} `SERVER`, or what `ask` throws
   */
  async ask<Answer>(ask: (connection: SqlConnection) => Promise<Answer>): Promise<Answer> {
    const conflicts = new RecoveryConflicts()
    for (;;) {
      try {
        const answer = await ask(this.#current)
        this.goesOn()
        return answer
      } catch (error) {
        if (conflicts.allowRetry(error)) await this.renew()
        else await this.replaceLost(error)
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

  /**
   * Connects again after this failure, if that is the loss of the connection.
   *
   * @throws the failure itself, if it is not, or there is no connection; {@link PbManifestError}
   */
  async replaceLost(failure: unknown): Promise<void> {
    if (this.#isClosed) throw failure
    await this.#losses.replace(failure, () => this.renew())
  }

  /** Something came: a loss after this is another one. */
  goesOn(): void {
    this.#losses.forget()
  }

  /** Ends it, and what it runs, at once. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#current.close()
  }
}
