import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { DatabaseError } from '../pg.js'

const hint =
  'A connection pooler, such as pgbouncer, lends its connections to many clients, and a backup needs connections of its own: connect to the server itself.'

/**
 * The error for a connection whose statements do not run in a backend that was started for it. Noticed before anything is
 * set: the next client of that backend would find our settings there.
 */
export function pooledConnection(): PbManifestError {
  return new PbManifestError('SERVER', 'there is a connection pooler between us and the server', { hint })
}

const PROTOCOL_VIOLATION = '08P01'

/** What made a connection fail; with a hint when it was refused for its settings: a server takes all that it knows. */
export function explainRefusedSettings(error: unknown): unknown {
  if (!isPbManifestError(error)) return error
  const { cause, message, details, code } = error
  if (!(cause instanceof DatabaseError) || cause.code !== PROTOCOL_VIOLATION) return error
  return new PbManifestError(code, message, { cause, details, hint })
}
