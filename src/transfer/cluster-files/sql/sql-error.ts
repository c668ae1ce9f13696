import { DatabaseError } from '../../connection/pg.js'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { onOneLine } from '../../connection/reported-text.js'
import { describeServerError, reportedDetails } from '../../connection/server-error.js'
import { missingPrivilegeHint } from './missing-privilege.js'

const SERIALIZATION_FAILURE = '40001'

/** How often a standby may stand in our way in a row. */
export const MOST_CONFLICTS = 10

/**
 * Makes a {@link PbManifestError} `SERVER` of what `pg` threw: the server's own message, detail and hint, or the loss of
 * the connection. A {@link PbManifestError} stays what it is.
 *
 * @param role - who was connected, for the hint when a privilege is missing
 */
export function sqlError(error: unknown, role: string): PbManifestError {
  if (isPbManifestError(error)) return error
  if (error instanceof DatabaseError) return reportedError(error, role)
  return new PbManifestError('SERVER', `lost the connection to the server: ${describeServerError(error)}`, {
    cause: error,
  })
}

/**
 * Whether a standby cancelled a query, or ended a connection, because it stood in the way of replay. The same query may
 * succeed on another connection.
 */
export function isRecoveryConflict(error: PbManifestError): boolean {
  return error.cause instanceof DatabaseError && error.cause.code === SERIALIZATION_FAILURE
}

function reportedError(error: DatabaseError, role: string): PbManifestError {
  const hint = missingPrivilegeHint(error, role) ?? error.hint
  return new PbManifestError('SERVER', onOneLine(error.message), {
    cause: error,
    details: reportedDetails('server', error),
    ...(hint === undefined ? {} : { hint: onOneLine(hint) }),
  })
}
