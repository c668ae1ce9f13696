import { isUtf8 } from 'node:buffer'
import { PbManifestError } from '../../../errors.js'

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

/**
 * Reads what libpq takes in place of a database name: a connection string, a connection URI, or just the name.
 *
 * @throws {@link PbManifestError} `USAGE`. No message repeats a part that may be a password.
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 */
export function parseConninfo(text: string): Conninfo {
  if (isConnectionUri(text)) return parseConnectionUri(text)
  if (!text.includes('=')) return new Map(text === '' ? [] : [['dbname', text]])
  return parseConnectionString(text)
}

const blanks = /\s*/y
const name = /[^=\s]+/y
const equals = /\s*=\s*/y
const quotedValue = /'((?:[^'\\]|\\[^])*)'/y
const plainValue = /((?:[^\s\\]|\\[^])*)/y

/** @see src/interfaces/libpq/fe-connect.c (`conninfo_parse`) */
function parseConnectionString(text: string): Conninfo {
  const values = new Map<string, string>()
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at = pattern.lastIndex
    return found
  }
  for (take(blanks); at < text.length; take(blanks)) {
    const keyword = take(name)?.[0] ?? ''
    // libpq repeats the word here. It may be the second half of a password that was not quoted.
    if (take(equals) === null) throw usage('missing "=" in connection info string', quoteHint)
    if (!isConninfoKeyword(keyword)) throw usage(`invalid connection option "${keyword}"`)
    const value = text[at] === "'" ? take(quotedValue) : take(plainValue)
    if (value === null) throw usage('unterminated quoted string in connection info string')
    values.set(keyword, (value[1] ?? '').replaceAll(/\\([^])/g, '$1'))
  }
  return values
}

const quoteHint = 'A value with blanks has to stand in single quotes.'

function usage(message: string, hint?: string): PbManifestError {
  return new PbManifestError('USAGE', message, hint === undefined ? {} : { hint })
}

const scheme = /^postgres(?:ql)?:\/\//

export function isConnectionUri(text: string): boolean {
  return scheme.test(text)
}

/**
 * Reads `postgresql://[user[:password]@][host[:port]][,...][/dbname][?name=value[&...]]`. Not by WHATWG's `URL`: that knows
 * one host only, no empty user, and other rules of encoding.
 *
 * @throws {@link PbManifestError} `USAGE`
 * @see src/interfaces/libpq/fe-connect.c (`conninfo_uri_parse_options`)
 */
function parseConnectionUri(uri: string): Conninfo {
  const values = new Map<string, string>()
  const store = (keyword: string, encoded: string): void => {
    if (encoded !== '') values.set(keyword, decode(encoded))
  }
  const [, userInfo, afterUser = ''] = /^(?:([^@/]*)@)?([^]*)$/.exec(uri.replace(scheme, '')) ?? []
  if (userInfo !== undefined) {
    const [, user = '', password = ''] = /^([^:]*)(?::([^]*))?$/.exec(userInfo) ?? []
    store('user', user)
    store('password', password)
  }
  const [, hostList = '', database = '', query] =
    /^([^/?]*)(?:\/([^?]*))?(?:\?([^]*))?$/.exec(afterUser) ?? []
  const hosts = hostList.split(',').map(parseHost)
  store('host', joinUnlessEmpty(hosts.map(({ host }) => host)))
  store('port', joinUnlessEmpty(hosts.map(({ port }) => port)))
  store('dbname', database)
  for (const [keyword, value] of parseQuery(query ?? '')) values.set(keyword, value)
  return values
}

function parseHost(text: string): { host: string; port: string } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
  if (bracketed?.[1] === '') throw usage('IPv6 host address may not be empty in URI')
  if (text.startsWith('[') && bracketed === null) {
    throw usage(`end of string, ":", "," or "/" expected after the IPv6 address in URI: "${text}"`)
  }
  const [, host = '', port = ''] = bracketed ?? /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  return { host, port }
}

function joinUnlessEmpty(parts: readonly string[]): string {
  return parts.every((part) => part === '') ? '' : parts.join(',')
}

function* parseQuery(query: string): Generator<[string, string], void, undefined> {
  for (const parameter of query === '' ? [] : query.split('&')) {
    const [encodedName = '', encodedValue, ...more] = parameter.split('=')
    const name = decode(encodedName)
    if (encodedValue === undefined)
      throw usage(`missing key/value separator "=" in URI query parameter: "${name}"`)
    if (more.length > 0) throw usage(`extra key/value separator "=" in URI query parameter: "${name}"`)
    const value = decode(encodedValue)
    // As JDBC's URIs have it.
    if (name === 'ssl' && value === 'true') yield ['sslmode', 'require']
    else if (isConninfoKeyword(name)) yield [name, value]
    else throw usage(`invalid URI query parameter: "${name}"`)
  }
}

/** Percent encoding and nothing else: `+` is a plus sign. */
function decode(text: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw usage('invalid percent-encoded token in URI')
  if (text.includes('%00')) throw usage('forbidden value %00 in percent-encoded value in URI')
  const bytes = Buffer.from(
    Buffer.from(text, 'utf8')
      .toString('latin1')
      .replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  if (!isUtf8(bytes)) throw usage('percent-encoded value in URI is not UTF-8')
  return bytes.toString('utf8')
}
