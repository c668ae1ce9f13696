import { randomInt } from 'node:crypto'
import { closeSync, existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { PbManifestError } from '../../../errors.js'
import type { ConnectionHost } from './connection-options.js'
import { type Conninfo, oneOf } from './conninfo.js'
import { NotARegularFileError, openRegularFile } from '../../../files/open-regular-file.js'

export const DEFAULT_PORT = 5432

/** libpq has one of them compiled in: Debian the first, PostgreSQL as it comes the second. */
const socketDirectories = ['/var/run/postgresql', '/tmp'] as const

interface HostQuery {
  readonly values: Conninfo
  readonly user: string
  readonly database: string
  readonly fallbackDatabases: readonly string[]
  readonly homeDirectory: string
}

interface ResolvedHosts {
  readonly hosts: readonly ConnectionHost[]
  readonly warnings: readonly string[]
}

/** Works out the servers to try, and the password for each. */
export function resolveHosts(query: HostQuery): ResolvedHosts {
  const { values, homeDirectory } = query
  const places = listPlaces(values)
  const password = values.get('password')
  if (password) {
    const hosts = places.map((place) => ({
      ...place,
      password,
      replicationPassword: password,
      fallbackPasswords: query.fallbackDatabases.map(() => password),
    }))
    return { hosts: inOrder(hosts, values), warnings: [] }
  }
  const file = readPasswordFile(values.get('passfile') || defaultPasswordFile(homeDirectory))
  const hosts = places.map((place) => {
    const find = (database: string): string | undefined =>
      file.find({ host: nameInPasswordFile(place), port: place.port, database, user: query.user })
    const found = find(query.database)
    const fallbackPasswords = query.fallbackDatabases.map(find)
    return {
      ...place,
      password: found,
      replicationPassword: find('replication') ?? [found, ...fallbackPasswords].find(isGiven),
      fallbackPasswords,
    }
  })
  return { hosts: inOrder(hosts, values), warnings: file.warning === undefined ? [] : [file.warning] }
}

function isGiven(password: string | undefined): boolean {
  return password !== undefined
}

type Place = Pick<ConnectionHost, 'host' | 'address' | 'port'>

function listPlaces(values: Conninfo): readonly Place[] {
  const names = split(values.get('host'))
  const addresses = split(values.get('hostaddr'))
  const ports = split(values.get('port'))
  if (names.length > 0 && addresses.length > 0 && names.length !== addresses.length) {
    throw usage(`could not match ${names.length} host names to ${addresses.length} hostaddr values`)
  }
  const count = Math.max(names.length, addresses.length, 1)
  if (ports.length > 1 && ports.length !== count) {
    throw usage(`could not match ${ports.length} port numbers to ${count} hosts`)
  }
  return Array.from({ length: count }, (_, index) => {
    const port = parsePort(ports[ports.length === 1 ? 0 : index] ?? '')
    const address = addresses[index] || undefined
    if (address !== undefined && isIP(address) === 0) {
      throw usage(`could not parse network address "${address}"`)
    }
    return { host: names[index] || (address ?? defaultSocketDirectory(port)), address, port }
  })
}

function split(list: string | undefined): readonly string[] {
  return list === undefined || list === '' ? [] : list.split(',')
}

function parsePort(text: string): number {
  if (text.trim() === '') return DEFAULT_PORT
  if (!/^\s*\+?\d+\s*$/.test(text))
    throw usage(`invalid integer value "${text}" for connection option "port"`)
  const port = Number(text)
  if (port >= 1 && port <= 65_535) return port
  throw usage(`invalid port number: "${text}"`)
}

/** The directory in which there is a server's socket, else the first that exists. */
function defaultSocketDirectory(port: number): string {
  return (
    socketDirectories.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`)) ??
    socketDirectories.find((directory) => existsSync(directory)) ??
    'localhost'
  )
}

function nameInPasswordFile({ host }: Place): string {
  return socketDirectories.some((directory) => directory === host) ? 'localhost' : host
}

function inOrder(hosts: readonly ConnectionHost[], values: Conninfo): readonly ConnectionHost[] {
  const order = oneOf('load_balance_hosts', values.get('load_balance_hosts') || 'disable', [
    'disable',
    'random',
  ])
  return order === 'disable' ? hosts : shuffle(hosts)
}

function shuffle<Item>(items: readonly Item[]): readonly Item[] {
  const rest = [...items]
  return items.flatMap(() => rest.splice(randomInt(rest.length), 1))
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}

/** The password file where nobody names one. */
export function defaultPasswordFile(homeDirectory: string): string {
  return `${homeDirectory}/.pgpass`
}

/** Whose password is looked for. */
interface PasswordQuery {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The password file of libpq: `hostname:port:database:username:password`, first match wins. */
interface PasswordFile {
  find(query: PasswordQuery): string | undefined
  /** Why the file was ignored. */
  readonly warning: string | undefined
}

/**
 * Reads a password file. One that is not there, cannot be read, or that others may read, holds nothing: libpq goes on
 * without it. (The package `pgpass` would do much of this, but warns on standard error and reads `process.env`.)
 *
 * @see https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
function readPasswordFile(path: string): PasswordFile {
  try {
    const { descriptor, stats } = openRegularFile(path)
    try {
      if ((stats.mode & 0o077) !== 0) return nothing(`password file "${path}" ${tooOpen}`)
      const entries = readFileSync(descriptor, 'utf8')
        .split('\n')
        .flatMap((line) => parseLine(line.replace(/\r$/, '')))
      return { find: (query) => entries.find((entry) => matches(entry, query))?.password, warning: undefined }
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    return nothing(
      error instanceof NotARegularFileError ? `password file "${path}" is not a plain file` : undefined,
    )
  }
}

const tooOpen = 'has group or world access; permissions should be u=rw (0600) or less'

interface Entry {
  /** Host, port, database, user; `undefined`: any. */
  readonly fields: readonly (string | undefined)[]
  readonly password: string
}

function parseLine(line: string): Entry[] {
  if (line.startsWith('#')) return []
  const [, ...texts] =
    /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):(.*)$/.exec(line) ?? []
  // The password ends at a colon that is not escaped: a further field is not ours.
  const password = /^(?:[^:\\]|\\.?)*/.exec(texts.pop() ?? '')?.[0] ?? ''
  if (texts.length !== 4) return []
  const fields = texts.map((text) => (text === '*' ? undefined : unescape(text)))
  return [{ fields, password: unescape(password) }]
}

function matches({ fields }: Entry, { host, port, database, user }: PasswordQuery): boolean {
  const wanted = [host, String(port), database, user]
  return fields.every((field, index) => field === undefined || field === wanted[index])
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, '$1')
}

function nothing(warning: string | undefined): PasswordFile {
  return { find: () => undefined, warning }
}
