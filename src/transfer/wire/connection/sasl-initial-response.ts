import { brokenProtocol } from '../wire-error.js'

const LENGTH_BYTES = 4

export interface SaslInitialResponse {
  readonly mechanism: string
  readonly data: Buffer
}

/**
 * Reads the payload of SASLInitialResponse: the mechanism, and what it begins with.
 *
 * @throws {@link WireError} `FATAL`
 */
export function parseSaslInitialResponse(payload: Buffer): SaslInitialResponse {
  const nul = payload.indexOf(0)
  const start = nul + 1 + LENGTH_BYTES
  if (nul === -1 || start > payload.length) throw brokenProtocol('invalid SASL response')
  const length = payload.readInt32BE(nul + 1)
  // -1, no data, is allowed by the protocol, but SCRAM always begins with some.
  if (length !== payload.length - start) throw brokenProtocol('invalid SASL response')
  return { mechanism: payload.toString('latin1', 0, nul), data: payload.subarray(start) }
}
