import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { DatabaseError } from '../pg.js'

/** A setting of a session that matters to us, and what it has to be. */
interface SessionSetting {
  readonly value: string
  /** The first major version that knows it. Default: all. */
  readonly since?: number
  /** It is set only when the session is there: what is asked before goes by the server's own value. */
  readonly isLate?: boolean
}

/**
 * What every session runs with, whatever its role, its database or its server have: names in our queries mean
 * PostgreSQL's own, bytes of names pass as they are, and nothing ends what takes its time.
 *
 * Of a name that a server does not know, or a role may not set, nothing is said.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-client.html
 */
const sessionSettings: Readonly<Record<string, SessionSetting>> = {
  // Relations and types are looked for in pg_temp before all others, unless it is named.
  search_path: { value: 'pg_catalog,pg_temp' },
  // A database's encoding may be anything, and file names may be anything.
  client_encoding: { value: 'SQL_ASCII' },
  // A standby refuses "serializable"; a primary makes one that is read only and deferrable wait for all others.
  default_transaction_isolation: { value: 'read committed' },
  default_transaction_deferrable: { value: 'off' },
  // The target_session_attrs read-write and read-only are about this one, too.
  default_transaction_read_only: { value: 'off', isLate: true },
  statement_timeout: { value: '0' },
  lock_timeout: { value: '0' },
  idle_in_transaction_session_timeout: { value: '0' },
  idle_session_timeout: { value: '0', since: 14 },
  transaction_timeout: { value: '0', since: 17 },
  // The list of a directory stays in memory up to this; beyond it, the server needs a temporary file.
  work_mem: { value: '256MB' },
  temp_file_limit: { value: '-1', isLate: true },
  standard_conforming_strings: { value: 'on' },
  bytea_output: { value: 'hex' },
  DateStyle: { value: 'ISO, MDY' },
  client_min_messages: { value: 'notice' },
  event_triggers: { value: 'off', since: 17, isLate: true },
  // They cost time, and bring nothing to queries as simple as ours.
  jit: { value: 'off' },
  max_parallel_workers_per_gather: { value: '0' },
}

/**
 * The settings that a connection can have from its first moment, for its startup packet's `options`: those that any role
 * may set.
 *
 * @param majorVersion - the server's, when it is known already; a server refuses a connection that names a setting
 * which it does not know
 */
export function startupOptions(majorVersion: number | undefined): string {
  return Object.entries(sessionSettings)
    .filter(([, { isLate = false, since = 0 }]) => !isLate && since <= (majorVersion ?? 0))
    .map(([name, { value }]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, String.raw`\$&`)}`)
    .join(' ')
}

/** What tells a session of ours, in a backend of its own, from one that is lent. */
export interface SessionMark {
  /** The backend's, as it was told when the connection was made. */
  readonly processId: number
  /** What {@link SESSION_MARK} was set to when the connection was made. Hexadecimal. */
  readonly mark: string
}

/** A setting that nobody knows: a backend has it only if it was started for us. */
export const SESSION_MARK = 'pbmanifest.session'

/**
 * A query that fixes all settings of the session, if the backend that runs it was started for us. Else it does nothing,
 * and its row says that it is not `ours`. Nothing in it depends on a setting.
 */
export function fixSettingsQuery({ processId, mark }: SessionMark): string {
  const wanted = Object.entries(sessionSettings).map(([name, { value }]) => `('${name}', '${value}')`)
  return `
    BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE;
    SELECT pg_catalog.count(pg_catalog.set_config(known.name, wanted.value, false)) OPERATOR(pg_catalog.>) 0 AS ours
      FROM (VALUES ${wanted.join(', ')}) AS wanted (name, value)
           JOIN pg_catalog.pg_settings AS known
             ON pg_catalog.lower(known.name) OPERATOR(pg_catalog.=) pg_catalog.lower(wanted.name)
     WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ${processId}
           AND pg_catalog.current_setting('${SESSION_MARK}', true) OPERATOR(pg_catalog.=) '${mark}'
           AND (known.context OPERATOR(pg_catalog.=) 'user'
                OR (known.context OPERATOR(pg_catalog.=) 'superuser'
                    AND pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'));
    COMMIT`
}

const poolerHint =
  'A connection pooler, such as pgbouncer, lends its connections to many clients, and this needs connections of its own: connect to the server itself.'

/**
 * The error for a connection whose statements do not run in a backend that was started for it. Noticed before anything is
 * set: the next client of that backend would find our settings there.
 */
export function pooledConnection(): PbManifestError {
  return new PbManifestError('SERVER', 'there is a connection pooler between us and the server', {
    hint: poolerHint,
  })
}

const PROTOCOL_VIOLATION = '08P01'

/** What made a connection fail; with a hint when it was refused for its settings: a server takes all that it knows. */
export function explainRefusedSettings(error: unknown): unknown {
  if (!isPbManifestError(error)) return error
  const { cause, message, details, code } = error
  if (!(cause instanceof DatabaseError) || cause.code !== PROTOCOL_VIOLATION) return error
  return new PbManifestError(code, message, { cause, details, hint: poolerHint })
}
