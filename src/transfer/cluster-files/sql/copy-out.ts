import type { Connection } from 'pg'
import type { Arrivals } from '../../connection/arrivals.js'

/**
 * One COPY ... TO STDOUT, as the query object that `pg` hands the server's messages to. The data does not come this way:
 * who takes it out of the stream passes it on.
 */
export class CopyOut {
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
