/** What a client may ask of us. */
export interface WireLimits {
  /** Of the payload of a message, which is how long a query may be. */
  readonly maxMessageBytes: number
  /** From the first byte to the authenticated user, TLS included. */
  readonly authenticationTimeoutMs: number
  /** How long a client may say nothing between two queries; 0: forever. See `WireHandler.mayStayIdle`. */
  readonly idleTimeoutMs: number
  /** How long a client may take nothing of what we send it; 0: forever. */
  readonly stallTimeoutMs: number
  /** How often a client whose query runs hears that we are at work. */
  readonly heartbeatMs: number
}

export const defaultLimits: WireLimits = {
  maxMessageBytes: 1 << 20,
  authenticationTimeoutMs: 60_000,
  idleTimeoutMs: 0,
  stallTimeoutMs: 0,
  heartbeatMs: 5000,
}
