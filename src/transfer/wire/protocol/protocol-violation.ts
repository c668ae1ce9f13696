import { WireError } from '../wire-error.js'

const PROTOCOL_VIOLATION = '08P01'

/** The client's bytes are no messages any more, so that nothing after them can be trusted. */
export function brokenProtocol(message: string, detail?: string): WireError {
  return new WireError(PROTOCOL_VIOLATION, message, { severity: 'FATAL', detail })
}

/** One message is wrong; where the next one begins is known. */
export function badMessage(message: string): WireError {
  return new WireError(PROTOCOL_VIOLATION, message)
}
