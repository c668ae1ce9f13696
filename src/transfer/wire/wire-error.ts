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

const PROTOCOL_VIOLATION = '08P01'

/** The client's bytes are no messages any more, so that nothing after them can be trusted. */
export function brokenProtocol(message: string, detail?: string): WireError {
  return new WireError(PROTOCOL_VIOLATION, message, { severity: 'FATAL', detail })
}

/** One message is wrong; where the next one begins is known. */
export function badMessage(message: string): WireError {
  return new WireError(PROTOCOL_VIOLATION, message)
}
