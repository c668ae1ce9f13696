import { DatabaseError } from '../../connection/pg.js'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { describeServerError, onOneLine, reportedDetails } from '../../connection/server-error.js'

const SERIALIZATION_FAILURE = '40001'

/** How often a standby may stand in our way in a row. */
const MOST_CONFLICTS = 10

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

/** Counts how often in a row a standby stood in the way of one piece of work. */
export class RecoveryConflicts {
  #inARow = 0

  /** Whether to try again, when this is what went wrong. */
  allowRetry(error: unknown): boolean {
    return isPbManifestError(error) && isRecoveryConflict(error) && ++this.#inARow <= MOST_CONFLICTS
  }

  /** The work goes on. */
  forget(): void {
    this.#inARow = 0
  }
}

function reportedError(error: DatabaseError, role: string): PbManifestError {
  const hint = missingPrivilegeHint(error, role) ?? error.hint
  return new PbManifestError('SERVER', onOneLine(error.message), {
    cause: error,
    details: reportedDetails('server', error),
    ...(hint === undefined ? {} : { hint: onOneLine(hint) }),
  })
}

/** Each function of the server that a backup calls, with the arguments that GRANT wants to see. */
const grantedFunctions = {
  pg_backup_start: 'text, boolean',
  pg_backup_stop: 'boolean',
  pg_ls_dir: 'text, boolean, boolean',
  pg_ls_waldir: '',
  pg_read_binary_file: 'text, bigint, bigint, boolean',
  pg_start_backup: 'text, boolean, boolean',
  pg_stat_file: 'text, boolean',
  pg_stop_backup: 'boolean, boolean',
} as const

/** What the server says of an error, as far as it is looked at here. */
interface Refusal {
  readonly message: string
  readonly code: string | undefined
  readonly routine: string | undefined
}

const INSUFFICIENT_PRIVILEGE = '42501'

/**
 * What to do about a privilege that the role lacks; `undefined` for all other errors, a file that the server may not
 * read among them, which has the same SQLSTATE.
 *
 * The server's words may be in any language, but its names are not.
 */
function missingPrivilegeHint(refusal: Refusal, role: string): string | undefined {
  if (refusal.code !== INSUFFICIENT_PRIVILEGE) return undefined
  const grantee = `"${role.replaceAll('"', '""')}"`
  if (refusal.routine !== 'aclcheck_error') return undefined
  const found = Object.entries(grantedFunctions).find(([name]) => refusal.message.includes(name))
  if (found === undefined) return undefined
  const [name, parameters] = found
  return `Give the role what it lacks with: GRANT EXECUTE ON FUNCTION pg_catalog.${name}(${parameters}) TO ${grantee}; docs/backup-role.sql grants all that a backup needs.`
}
