import { isPbManifestError } from '../../errors.js'
import { AuthenticationError } from './authentication-check.js'
import { DatabaseError } from './pg.js'
import type { ConnectionHost } from './settings/connection-options.js'
import { isUnixSocket } from './settings/resolve-tls.js'
import { describeServerError } from './server-error.js'

/** The server asked for a password, and there is none. */
export class NoPasswordError extends Error {
  constructor() {
    super('fe_sendauth: no password supplied')
  }
}

/** Whether asking the user for a password could help. */
export function isPasswordMissing(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof NoPasswordError
}

/** In the words of libpq: `connection to server at "h", port 5432 failed: Connection refused`. */
export function describeConnectionFailure(host: ConnectionHost, error: unknown): string {
  return `connection to server ${describePlace(host)} failed: ${describeServerError(error)}`
}

function describePlace(host: ConnectionHost): string {
  if (isUnixSocket(host)) return `on socket "${host.host}/.s.PGSQL.${host.port}"`
  const address = host.address === undefined || host.address === host.host ? '' : ` (${host.address})`
  return `at "${host.host}"${address}, port ${host.port}`
}

/** `invalid_authorization_specification`: no line of pg_hba.conf lets us in this way. */
const NOT_THIS_WAY = '28000'

/** Whether the same host could take us with TLS where it did not without, or the reverse. */
export function mayWorkOtherwise(error: unknown): boolean {
  if (error instanceof DatabaseError) return error.code === NOT_THIS_WAY
  return isNoTls(error) || (error instanceof Error && isTlsFailure(error))
}

/** Whether the server has no TLS. */
export function isNoTls(error: unknown): boolean {
  return error instanceof Error && error.message === 'The server does not support SSL connections'
}

const NO_SUCH_DATABASE = '3D000'

/** Whether there is a server, but not the database. */
export function isDatabaseMissing(error: unknown): boolean {
  return (
    error instanceof Error && error.cause instanceof DatabaseError && error.cause.code === NO_SUCH_DATABASE
  )
}

/** This database is not there; pg_hba.conf, or its owner, does not let us in; or nobody may connect to it. */
const notThisDatabase: ReadonlySet<string | undefined> = new Set([
  NO_SUCH_DATABASE,
  NOT_THIS_WAY,
  '42501',
  '55000',
])

/** Whether the same server could have us in another database. */
export function mayWorkInAnotherDatabase(error: unknown): boolean {
  return error instanceof DatabaseError && notThisDatabase.has(error.code)
}

function isTlsFailure(error: Error): boolean {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return /^(?:ERR_(?:SSL|TLS)_|EPROTO$|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(code)
}

/** `connection_exception`, `operator_intervention`, `insufficient_resources`: of a server that goes down, comes up, or is full. */
const passing = /^(?:08|57P|53)/

/** Whether a connection is gone, or could not be made, for a reason that may pass. */
export function isConnectionLoss(error: unknown): boolean {
  if (!isPbManifestError(error) || error.code !== 'SERVER') return false
  const { cause } = error
  if (cause instanceof DatabaseError) return passing.test(cause.code ?? '')
  if (cause instanceof AuthenticationError || cause instanceof NoPasswordError) return false
  return cause instanceof Error && !isPbManifestError(cause)
}
