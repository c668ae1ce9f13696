import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { PbManifestError } from '../../errors.js'
import type { ConnectionHost } from './connection-options.js'
import { type Conninfo, oneOf } from './conninfo-keywords.js'
import { readPasswordFile } from './password-file.js'

export const DEFAULT_PORT = 5432

/** libpq has one of them compiled in: Debian the first, PostgreSQL as it comes the second. */
const socketDirectories = ['/var/run/postgresql', '/tmp'] as const

export interface HostQuery {
  readonly values: Conninfo
  readonly user: string
  readonly database: string
  readonly fallbackDatabases: readonly string[]
  readonly homeDirectory: string
}

export interface ResolvedHosts {
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
