export interface WireErrorOptions {
  readonly severity?: 'ERROR' | 'FATAL'
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  /** Where in the query, counted in characters from 1. */
  readonly position?: number | undefined
  readonly cause?: unknown
}

/** An error that goes to the client as it is: what an ErrorResponse says. */
export class WireError extends Error {
  override readonly name = 'WireError'
  /** After `FATAL` the connection ends. Default `ERROR`. */
  readonly severity: 'ERROR' | 'FATAL'
  /** Five characters: https://www.postgresql.org/docs/current/errcodes-appendix.html */
  readonly sqlstate: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly position: number | undefined

  constructor(sqlstate: string, message: string, options: WireErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.sqlstate = sqlstate
    this.severity = options.severity ?? 'ERROR'
    this.detail = options.detail
    this.hint = options.hint
    this.position = options.position
  }
}
