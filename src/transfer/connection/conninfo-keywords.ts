import { PbManifestError } from '../../errors.js'

/** What we do with a connection option of libpq. */
export interface ConninfoKeyword {
  /** The environment variable that gives it. */
  readonly environment?: string
  /** Values that ask for nothing that we cannot do. Any other is refused. Default: every value is taken. */
  readonly onlyValues?: readonly string[]
}

/**
 * The connection options of libpq 13 to 19, in the order of its table.
 *
 * Refused is what asks for a protection or a way of connecting that `pg` does not have. What only tunes (the intervals of
 * keep-alive probes) or names things for GSSAPI, which we never use, is taken and not heeded.
 *
 * @see src/interfaces/libpq/fe-connect.c (`PQconninfoOptions`)
 */
export const conninfoKeywords: Readonly<Record<string, ConninfoKeyword>> = {
  service: { environment: 'PGSERVICE' },
  servicefile: { environment: 'PGSERVICEFILE' },
  user: { environment: 'PGUSER' },
  password: { environment: 'PGPASSWORD' },
  passfile: { environment: 'PGPASSFILE' },
  channel_binding: { environment: 'PGCHANNELBINDING' },
  connect_timeout: { environment: 'PGCONNECT_TIMEOUT' },
  dbname: { environment: 'PGDATABASE' },
  host: { environment: 'PGHOST' },
  hostaddr: { environment: 'PGHOSTADDR' },
  port: { environment: 'PGPORT' },
  client_encoding: {},
  options: { environment: 'PGOPTIONS' },
  application_name: { environment: 'PGAPPNAME' },
  fallback_application_name: {},
  keepalives: {},
  keepalives_idle: {},
  keepalives_interval: {},
  keepalives_count: {},
  tcp_user_timeout: {},
  sslmode: { environment: 'PGSSLMODE' },
  sslnegotiation: { environment: 'PGSSLNEGOTIATION' },
  sslcompression: { environment: 'PGSSLCOMPRESSION' },
  sslcert: { environment: 'PGSSLCERT' },
  sslkey: { environment: 'PGSSLKEY' },
  sslcertmode: { environment: 'PGSSLCERTMODE', onlyValues: ['disable', 'allow'] },
  sslpassword: {},
  sslrootcert: { environment: 'PGSSLROOTCERT' },
  sslcrl: { environment: 'PGSSLCRL' },
  sslcrldir: { environment: 'PGSSLCRLDIR', onlyValues: [] },
  sslsni: { environment: 'PGSSLSNI', onlyValues: ['1'] },
  requirepeer: { environment: 'PGREQUIREPEER', onlyValues: [] },
  require_auth: { environment: 'PGREQUIREAUTH' },
  min_protocol_version: { environment: 'PGMINPROTOCOLVERSION', onlyValues: ['3.0'] },
  max_protocol_version: { environment: 'PGMAXPROTOCOLVERSION' },
  ssl_min_protocol_version: { environment: 'PGSSLMINPROTOCOLVERSION' },
  ssl_max_protocol_version: { environment: 'PGSSLMAXPROTOCOLVERSION' },
  gssencmode: { environment: 'PGGSSENCMODE', onlyValues: ['disable', 'prefer'] },
  krbsrvname: { environment: 'PGKRBSRVNAME' },
  gsslib: { environment: 'PGGSSLIB' },
  gssdelegation: { environment: 'PGGSSDELEGATION' },
  replication: {},
  target_session_attrs: { environment: 'PGTARGETSESSIONATTRS' },
  load_balance_hosts: { environment: 'PGLOADBALANCEHOSTS' },
  scram_client_key: { onlyValues: [] },
  scram_server_key: { onlyValues: [] },
  oauth_issuer: { onlyValues: [] },
  oauth_client_id: { onlyValues: [] },
  oauth_client_secret: { onlyValues: [] },
  oauth_scope: { onlyValues: [] },
  oauth_ca_file: { onlyValues: [] },
  sslkeylogfile: { onlyValues: [] },
}

/** Connection options as they were written somewhere. */
export type Conninfo = ReadonlyMap<string, string>

export function isConninfoKeyword(name: string): boolean {
  return Object.hasOwn(conninfoKeywords, name)
}

/** @throws {@link PbManifestError} `USAGE` in the words of libpq, when the value is none of these */
export function oneOf<Value extends string>(
  keyword: string,
  value: string,
  allowed: readonly Value[],
): Value {
  const found = allowed.find((candidate) => candidate === value)
  if (found !== undefined) return found
  throw new PbManifestError('USAGE', `invalid ${keyword} value: "${value}"`)
}
