import type { SecureContext } from 'node:tls'
import type { ConnectionOptions } from '../connection/connection-options.js'
import type { ScramUsers } from '../wire/scram/scram-users.js'
import type { AgentEvent } from './agent-event.js'
import type { Address } from './listen/listen-on-address.js'
import type { SocketPlace } from './listen/listen-on-socket.js'

/** What an agent serves, where, to whom, and how much. */
export interface AgentOptions {
  readonly dataDirectory: string
  /** The server that runs on it. */
  readonly server: ConnectionOptions
  /** Whoever can connect there is let in. */
  readonly socket?: SocketPlace | undefined
  readonly network?: NetworkAccess | undefined
  readonly limits: AgentLimits
  readonly onEvent: (event: AgentEvent) => void
}

/** Where and how clients come in over TCP. */
export interface NetworkAccess extends NetworkCredentials {
  readonly address: Address
}

/** Who comes in over TCP, and how the agent proves who it is. */
export interface NetworkCredentials {
  /** **`undefined`: everybody is let in.** */
  readonly users: ScramUsers | undefined
  /** **`undefined`: nothing is encrypted.** Otherwise everything must be. */
  readonly tls: SecureContext | undefined
}

export interface AgentLimits {
  /** Of the Unix socket, and of the network, those that were let in. */
  readonly maxConnections: number
  /** Likewise, those that have not shown who they are. */
  readonly maxUnauthenticated: number
  /** How long a client may take to show who it is. */
  readonly authenticationTimeoutMs: number
  readonly maxBackups: number
  /** Bytes of a command. */
  readonly maxMessageBytes: number
  /** How long a connection may say nothing; 0: forever. One that is part of a backup may as long as that is not idle. */
  readonly idleTimeoutMs: number
  /** How long a backup may do nothing at all; 0: forever. It is looked at once in `idleTimeoutMs`. */
  readonly backupIdleTimeoutMs: number
  /** How long a client may take nothing of what it asked for; 0: forever. */
  readonly stallTimeoutMs: number
}
