import { createRequire } from 'node:module'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type * as Pg from 'pg'
import { requireDescriptor } from '../../files/system-error.js'
import { type DeriveKey, stoppable } from './scram-key.js'

/**
 * `pg`, without what its loading brings along: to learn whether it runs at Cloudflare it makes a `Response`, unless there is
 * a `navigator`, which Node has from 21 on. With that `Response` Node 20 loads all of `fetch`, 30 ms in each thread.
 */
const pg: typeof Pg = withNavigator(load)

export const Client: typeof Pg.Client = pg.Client
export type Client = Pg.Client

/** A connection as `pg` has it, with what its types leave out. What we lean on is held by `test/transfer/connection/pg.test.ts`. */
interface RawConnection extends Pg.Connection {
  connect(portOrPath: number | string, host?: string): void
  /** Of the stream, it listens to `data` and `end` only. */
  attachListeners(stream: EventEmitter): void
}

interface RawConnectionConfig {
  readonly ssl: TlsOptions | false
  readonly sslNegotiation: 'postgres' | 'direct'
  readonly keepAlive: boolean
  readonly keepAliveInitialDelayMillis: number
  readonly stream?: Duplex
}

export const Connection: new (config: RawConnectionConfig) => RawConnection =
  pg.Connection as unknown as new (config: RawConnectionConfig) => RawConnection

export const DatabaseError: typeof Pg.DatabaseError = pg.DatabaseError
export type DatabaseError = Pg.DatabaseError

function load(): typeof Pg {
  const require = createRequire(import.meta.url)
  try {
    return loadWith(require)
  } catch {
    requireDescriptor()
    return loadWith(require)
  }
}

function loadWith(require: NodeJS.Require): typeof Pg {
  const loaded = require('pg') as typeof Pg
  const cryptography = require('pg/lib/crypto/utils') as { deriveKey: DeriveKey }
  cryptography.deriveKey = stoppable(cryptography.deriveKey)
  return loaded
}

/** What does not wait sees a `navigator` as Node 21 has it; nobody else does. */
function withNavigator<T>(load: () => T): T {
  if ('navigator' in globalThis) return load()
  const value = { userAgent: `Node.js/${process.versions.node}` }
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true })
  try {
    return load()
  } finally {
    Reflect.deleteProperty(globalThis, 'navigator')
  }
}
