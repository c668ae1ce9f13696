import type { WireError } from './wire-error.js'

/** What answers one authenticated connection. */
export interface WireHandler {
  /**
   * Runs one simple query; its whole response goes through `reply`. Several results may follow each other. What it
   * throws becomes an ErrorResponse: a `WireError` as it is, anything else as an internal error that says nothing more.
   *
   * @param text - the bytes as sent, without the final NUL; may be not UTF-8; never only white space
   * @param signal - fires on a cancel request, and when the connection is lost or being ended
   */
  query(text: Buffer, reply: WireReply, signal: AbortSignal): Promise<void>
  /**
   * The connection is over; called exactly once, and not while a query runs. Must not throw.
   *
   * @param how - `terminated`: the client said Terminate; `lost`: it went away, timed out, or was ended by us
   */
  close(how: WireClose): Promise<void>
  /** Asked when the idle timeout has passed: `true` lets the connection wait once more. Default: it ends. */
  mayStayIdle?(): boolean
}

export type WireClose = 'terminated' | 'lost'

/** Takes the response to one query. Its methods wait for each other only if the caller awaits them. */
export interface WireReply {
  /** A whole result: RowDescription, the rows, CommandComplete. */
  rows(columns: readonly WireColumn[], rows: Iterable<WireRow>, tag: string): Promise<void>
  /** CommandComplete alone. */
  complete(tag: string): Promise<void>
  /** Begins a COPY to the client. It has to be ended, or the query has to fail. */
  copyOut(): WireCopy
  /**
   * Begins a COPY from the client, and gives its data until that is complete. Its own result is to follow.
   *
   * @param signal - ends the waiting for more
   * @throws {@link WireError} when the client gives up, or says something else; or the connection is lost
   */
  copyIn(signal: AbortSignal): AsyncIterable<Buffer>
  /** Also possible within a result. */
  notice(notice: WireNotice): void
}

/** The data of a COPY. */
export interface WireCopy {
  /** Resolves when more may be written; the bytes may be reused after it. Rejects when the connection is lost. */
  write(bytes: Uint8Array): Promise<void>
  /** CopyDone and CommandComplete. */
  end(tag: string): Promise<void>
}

export interface WireColumn {
  readonly name: string
  /** Default `text`. Values are in text format for any type: `t` and `f` for bool. */
  readonly type?: WireType
}

export type WireType = 'bool' | 'bytea' | 'int4' | 'int8' | 'text'

/** `null` is SQL's; bytes go out as they are. */
export type WireRow = readonly (string | Uint8Array | null)[]

export interface WireNotice {
  readonly severity: 'WARNING' | 'NOTICE'
  /** Default: 01000 for a warning, 00000 for a notice. */
  readonly sqlstate?: string | undefined
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
}

/** Who connected. */
export interface WireClient {
  /** What the client knows this connection by; no other open connection has it. */
  readonly pid: number
  readonly user: string
  /** The user's name when none was asked for. */
  readonly database: string
  /** All parameters of the startup packet: `application_name`, `replication` ... */
  readonly parameters: ReadonlyMap<string, string>
  /** Where from, as given to `WireServer.accept`. */
  readonly remote: string
  readonly isEncrypted: boolean
  /**
   * Ends the connection from our side, also when it is idle. A running query's signal fires; the client gets this error,
   * `FATAL`, in place of the rest of its response, and the handler's `close('lost')` follows.
   */
  readonly end: (error: WireError) => void
}

/** Makes the handler of a connection that has been authenticated. What it throws ends the connection. */
export type MakeHandler = (client: WireClient) => Promise<WireHandler>
