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
export function missingPrivilegeHint(refusal: Refusal, role: string): string | undefined {
  if (refusal.code !== INSUFFICIENT_PRIVILEGE) return undefined
  const grantee = `"${role.replaceAll('"', '""')}"`
  if (refusal.routine !== 'aclcheck_error') return undefined
  const found = Object.entries(grantedFunctions).find(([name]) => refusal.message.includes(name))
  if (found === undefined) return undefined
  const [name, parameters] = found
  return `Give the role what it lacks with: GRANT EXECUTE ON FUNCTION pg_catalog.${name}(${parameters}) TO ${grantee}; docs/backup-role.sql grants all that a backup needs.`
}
