import type { Client, Connection } from 'pg'

/** The rows of one result set, every value as the server's text. */
type TextRows = readonly (readonly (string | null)[])[]

export interface ReplicationResult {
  readonly resultSets: readonly TextRows[]
  /** The tags of the CommandComplete messages, for example `SELECT`, `SELECT`, `SELECT`, `BASE_BACKUP`. */
  readonly tags: readonly string[]
}

export interface ReplicationCommandOptions {
  /** Gets every CopyData message at once; the bytes are only good until it returns. */
  readonly onCopyData?: (chunk: Buffer) => void
  /** What we send when the server asks for data. */
  readonly copyIn?: Buffer
}

/** Methods of a connection of `pg` that its types leave out. */
interface CopyConnection {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

/** Runs one command on a replication connection: several result sets, and data in either direction. */
export function replicationCommand(
  client: Client,
  text: string,
  options: ReplicationCommandOptions = {},
): Promise<ReplicationResult> {
  return new Promise((resolve, reject) => {
    client.query(new ReplicationCommand(text, options, resolve, reject))
  })
}

/** The query object that `pg` hands the server's messages to. Its own `Query` knows one kind of answer only. */
class ReplicationCommand {
  readonly #text: string
  readonly #options: ReplicationCommandOptions
  readonly #resolve: (result: ReplicationResult) => void
  readonly #reject: (error: Error) => void
  readonly #resultSets: (readonly (string | null)[])[][] = []
  readonly #tags: string[] = []

  constructor(
    text: string,
    options: ReplicationCommandOptions,
    resolve: (result: ReplicationResult) => void,
    reject: (error: Error) => void,
  ) {
    this.#text = text
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  handleRowDescription(): void {
    this.#resultSets.push([])
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    this.#resultSets.at(-1)?.push(message.fields)
  }

  handleCommandComplete(message: { readonly text: string }): void {
    this.#tags.push(message.text)
  }

  handleCopyInResponse(connection: CopyConnection): void {
    const bytes = this.#options.copyIn ?? Buffer.alloc(0)
    for (let at = 0; at < bytes.length; at += 65_536) {
      connection.sendCopyFromChunk(bytes.subarray(at, at + 65_536))
    }
    connection.endCopyFrom()
  }

  handleCopyData(message: { readonly chunk: Buffer }): void {
    this.#options.onCopyData?.(message.chunk)
  }

  handleReadyForQuery(): void {
    this.#resolve({ resultSets: this.#resultSets, tags: this.#tags })
  }

  handleError(error: Error): void {
    this.#reject(error)
  }

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}
}
