import type { SecureContext } from 'node:tls'
import type { ScramUsers } from '../scram/scram-users.js'

/** On what terms clients of one listener are let in. */
export interface WireAccess {
  readonly authentication: WireAuthentication
  /** Without it, requests for encryption are declined. */
  readonly tls?: WireTls | undefined
}

export type WireAuthentication =
  /** **Lets everybody in, as any user.** For a Unix socket in a directory that nobody else can enter. */
  | { readonly method: 'trust' }
  /** With channel binding where there is TLS. */
  | { readonly method: 'scram-sha-256'; readonly users: ScramUsers }

export interface WireTls {
  /** Of `tls.createSecureContext`; made anew for new files. */
  readonly context: SecureContext
  /** Whether a client without encryption is turned away, before it is asked for a password. */
  readonly isRequired: boolean
}
