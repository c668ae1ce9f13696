import { homedir, userInfo } from 'node:os'
import { PbManifestError } from '../../../errors.js'
import { type AuthenticationDemands, readRequiredMethods } from '../authentication-check.js'
import { type ConnectionOptions, sessionAttributes } from './connection-options.js'
import {
  type Conninfo,
  type ConninfoKeyword,
  conninfoKeywords,
  isConninfoKeyword,
  oneOf,
  parseConninfo,
} from './conninfo.js'
import { DEFAULT_PORT, defaultPasswordFile, resolveHosts } from './resolve-hosts.js'
import { resolveTls } from './resolve-tls.js'
import { readSmallFile } from '../../../files/read-small-file.js'

/** What a caller says of the server to connect to. Everything else comes from the environment, as libpq has it. */
export interface ConnectionSettings {
  /** A connection string, a connection URI, or the name of a database. The others go before what it says. */
  readonly conninfo?: string
  readonly host?: string
  readonly port?: string
  readonly user?: string
  /** As asked for on the terminal. */
  readonly password?: string
  /**
   * How long the other side may be silent while an answer is due, in whole seconds. What has to wait by its nature does not
   * count: a checkpoint, the archive. Default: for as long as TCP takes it to be there, as libpq.
   */
  readonly ioTimeout?: number
  /** Whether any database will do, and none has to be that which is named; `primary_conninfo` names it all the same. Default false. */
  readonly anyDatabase?: boolean
}

/** How to connect, once everything was looked up. */
export interface ResolvedConnection {
  readonly options: ConnectionOptions
  /** What was wrong but did not matter enough to stop: a password file that everybody can read. */
  readonly warnings: readonly string[]
}

/**
 * Works out how to connect, as libpq does: what is given, then the service, then the environment, then defaults. Reads
 * service, password and certificate files.
 *
 * @throws {@link PbManifestError} `USAGE` for options that cannot be, or that we do not support; `IO`
 * @see https://www.postgresql.org/docs/current/libpq-connect.html
 */
export function resolveConnection(
  settings: ConnectionSettings,
  environment: ConnectionEnvironment,
): ResolvedConnection {
  const values = collectValues(settings, environment)
  const { homeDirectory } = environment
  refuseUnsupported(values)
  const user = values.get('user') || requireUserName(environment)
  const [database = user, ...fallbackDatabases] = databasesToTry(
    settings.anyDatabase ? undefined : values.get('dbname'),
    user,
  )
  const { hosts, warnings } = resolveHosts({ values, user, database, fallbackDatabases, homeDirectory })
  const options: ConnectionOptions = {
    hosts,
    user,
    database,
    fallbackDatabases,
    applicationName:
      values.get('application_name') || values.get('fallback_application_name') || 'pbmanifest',
    sessionOptions: values.get('options') || undefined,
    connectTimeout: readInteger(values, 'connect_timeout') ?? 0,
    ioTimeout: settings.ioTimeout ?? 0,
    keepAlive: readInteger(values, 'keepalives') !== 0,
    keepAliveIdle: readInteger(values, 'keepalives_idle') ?? 0,
    authentication: readDemands(values),
    sessionAttributes: oneOf(
      'target_session_attrs',
      values.get('target_session_attrs') || 'any',
      sessionAttributes,
    ),
    tls: resolveTls(values, homeDirectory, hosts),
    conninfo: listConninfo(values, { user, hosts, homeDirectory }),
  }
  return { options, warnings }
}

/**
 * Whoever calls pg_basebackup names no database, because a WAL sender has none. So it is one of those that a cluster has from
 * the first, where the grants of a role for backups are; and the user's own, as everywhere in PostgreSQL, is the last.
 */
function databasesToTry(given: string | undefined, user: string): readonly string[] {
  return given ? [given] : [...new Set(['postgres', 'template1', user])]
}

function readDemands(values: Conninfo): AuthenticationDemands {
  return {
    requiredMethods: readRequiredMethods(values.get('require_auth')),
    channelBinding: oneOf('channel_binding', values.get('channel_binding') || 'prefer', [
      'disable',
      'prefer',
      'require',
    ]),
  }
}

/** Every option that has a value from somewhere. An empty value counts, as libpq has it. */
function collectValues(
  settings: ConnectionSettings,
  { variables, homeDirectory }: ConnectionEnvironment,
): Conninfo {
  const values = new Map(parseConninfo(settings.conninfo ?? ''))
  for (const keyword of ['host', 'port', 'user', 'password'] as const) {
    const value = settings[keyword]
    if (value !== undefined && value !== '') values.set(keyword, value)
  }
  const service = values.get('service') ?? variables['PGSERVICE']
  if (service !== undefined && service !== '') {
    const given = values.get('servicefile') ?? variables['PGSERVICEFILE']
    const paths = [
      given ?? `${homeDirectory}/.pg_service.conf`,
      // The directory is compiled into libpq: this is Debian's.
      `${variables['PGSYSCONFDIR'] ?? '/etc/postgresql-common'}/pg_service.conf`,
    ]
    for (const [keyword, value] of readService(service, paths)) {
      if (!values.has(keyword)) values.set(keyword, value)
    }
  }
  for (const [keyword, { environment }] of keywordEntries()) {
    const value = environment === undefined ? undefined : variables[environment]
    if (value !== undefined && !values.has(keyword)) values.set(keyword, value)
  }
  return values
}

function refuseUnsupported(values: Conninfo): void {
  for (const [keyword, { onlyValues }] of keywordEntries()) {
    const value = values.get(keyword)
    if (value === undefined || value === '' || onlyValues === undefined || onlyValues.includes(value))
      continue
    // Some of these values are secrets.
    const what = onlyValues.length === 0 ? `"${keyword}"` : `"${keyword}=${value}"`
    throw new PbManifestError('USAGE', `connection option ${what} is not supported`)
  }
}

function requireUserName({ userName }: ConnectionEnvironment): string {
  if (userName !== undefined) return userName
  throw new PbManifestError('USAGE', 'no user name specified, and the operating system does not know ours')
}

function readInteger(values: Conninfo, keyword: string): number | undefined {
  const text = values.get(keyword)?.trim()
  if (text === undefined || text === '') return undefined
  const value = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (Math.abs(value) <= 0x7fff_ffff) return Math.max(value, 0)
  throw new PbManifestError('USAGE', `invalid integer value "${text}" for connection option "${keyword}"`)
}

/** Those that say nothing about the server, or that the receiving server sets itself; `dbname` has a place of its own. */
const notForServers: ReadonlySet<string> = new Set([
  'service',
  'servicefile',
  'dbname',
  'replication',
  'fallback_application_name',
])

/** @see src/fe_utils/recovery_gen.c (`GenerateRecoveryConfig`) */
function listConninfo(
  values: Conninfo,
  {
    user,
    hosts,
    homeDirectory,
  }: Pick<ConnectionOptions, 'user' | 'hosts'> & { readonly homeDirectory: string },
): readonly (readonly [string, string])[] {
  const complete = new Map([...values, ['user', user] as const])
  // What the defaults lead to here need not be what they lead to there.
  if (!values.get('host') && !values.get('hostaddr'))
    complete.set('host', hosts.map(({ host }) => host).join())
  if (!values.get('port')) complete.set('port', String(DEFAULT_PORT))
  // Whether it is there or not: libpq looks when it has to.
  if (!values.get('password') && !values.get('passfile'))
    complete.set('passfile', defaultPasswordFile(homeDirectory))
  const listed = keywordEntries().flatMap(([keyword]) => {
    const value = complete.get(keyword)
    return value === undefined || value === '' || notForServers.has(keyword)
      ? []
      : [[keyword, value] as const]
  })
  const database = values.get('dbname')
  return database ? [...listed, ['dbname', database]] : listed
}

function keywordEntries(): readonly (readonly [string, ConninfoKeyword])[] {
  return Object.entries(conninfoKeywords)
}

const MAX_BYTES = 1024 * 1024

/**
 * Looks a service up in the first of the files that defines it.
 *
 * @throws {@link PbManifestError} `USAGE` when none does, or when a file is not in the format
 * @see https://www.postgresql.org/docs/current/libpq-pgservice.html
 */
function readService(service: string, paths: readonly string[]): Conninfo {
  for (const path of paths) {
    const text = readSmallFile(path, MAX_BYTES)?.toString('utf8')
    const found = text === undefined ? undefined : findService(service, text, path)
    if (found !== undefined) return found
  }
  throw new PbManifestError('USAGE', `definition of service "${service}" not found`)
}

/** The first value of a keyword counts. */
function findService(service: string, text: string, path: string): Conninfo | undefined {
  const values = new Map<string, string>()
  let isInService = false
  for (const [index, rawLine] of text.split('\n').entries()) {
    const line = rawLine.trim()
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('[')) {
      if (isInService) return values
      isInService = line.startsWith(`[${service}]`)
    } else if (isInService) {
      const [keyword, value] = parseLine(line, `service file "${path}", line ${index + 1}`)
      if (!values.has(keyword)) values.set(keyword, value)
    }
  }
  return isInService ? values : undefined
}

function parseLine(line: string, place: string): [string, string] {
  const [, keyword = '', value = ''] = /^([^=]*)=(.*)$/.exec(line) ?? []
  if (keyword === 'service' || keyword === 'servicefile') {
    throw new PbManifestError('USAGE', `nested "${keyword}" specifications not supported in ${place}`)
  }
  if (!isConninfoKeyword(keyword)) throw new PbManifestError('USAGE', `syntax error in ${place}`)
  return [keyword, value]
}

/** Where libpq looks for what the caller did not say. */
export interface ConnectionEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly homeDirectory: string
  /** The operating system's name of the user; `undefined`: it has none. */
  readonly userName: string | undefined
}

/**
 * Looks up what libpq takes from its surroundings, for `resolveConnection` and `resolveAgent`.
 *
 * @param variables - those of the process
 */
export function readConnectionEnvironment(
  variables: ConnectionEnvironment['variables'],
): ConnectionEnvironment {
  return { variables, homeDirectory: variables['HOME'] || homedir(), userName: readUserName() }
}

function readUserName(): string | undefined {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in the user database, as in some containers.
    return undefined
  }
}
