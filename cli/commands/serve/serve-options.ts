import type { AgentLimits, NetworkAccess } from '../../../src/transfer/agent/agent.js'
import { type Address, parseAddress } from '../../../src/transfer/agent/listen/listen-on-address.js'
import type { SocketPlace } from '../../../src/transfer/agent/listen/listen-on-socket.js'
import { invalidValue, readCount, readOptional } from '../../option-values.js'
import type { OptionValues } from '../command.js'
import { usageError } from '../../usage-error.js'

export const serveOptions = {
  'What to serve:': {
    pgdata: {
      alias: 'D',
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'data directory of the server (required)',
    },
    server: {
      type: 'string',
      value: 'CONNSTR',
      kind: 'text',
      describe: 'connection string of the server that runs on it (default: as PGHOST and its like say)',
    },
  },
  'Where, and to whom:': {
    'socket-dir': {
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'directory of a Unix socket to listen on',
    },
    port: {
      alias: 'p',
      type: 'string',
      value: 'PORT',
      kind: 'number',
      describe: 'number in the name of the Unix socket (default: 5433)',
    },
    'socket-mode': {
      type: 'string',
      value: 'MODE',
      kind: 'number',
      describe: 'permissions of the Unix socket: who may connect (default: 0700)',
    },
    listen: {
      type: 'string',
      value: 'HOST:PORT',
      kind: 'text',
      describe: 'address to listen on; HOST is * for all addresses',
    },
    'users-file': {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'users that get in over --listen: lines of "user:SCRAM-SHA-256$..."',
    },
    'tls-cert': { type: 'string', value: 'FILE', kind: 'file', describe: 'certificate for --listen (PEM)' },
    'tls-key': { type: 'string', value: 'FILE', kind: 'file', describe: 'its private key (PEM)' },
    insecure: {
      type: 'boolean',
      describe: 'let --listen do without --users-file or --tls-cert',
    },
  },
  'Limits:': {
    'max-connections': {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'connections at once, on the Unix socket and over --listen each (default: 100)',
    },
    'max-unauthenticated': {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'those that have not shown who they are, likewise (default: as --max-connections)',
    },
    'authentication-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'time that they have for that (default: 60)',
    },
    'max-backups': {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'backups at once (default: 10)',
    },
    'max-message-size': {
      type: 'string',
      value: 'KB',
      kind: 'number',
      describe: 'longest command, in kB (default: 4096)',
    },
    'idle-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'how long a client may say and take nothing; 0: forever (default: 900)',
    },
    'backup-idle-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'how long all clients of a backup together may do so; 0: forever (default: 14400)',
    },
    'drain-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'time that running backups have to end after SIGTERM (default: 60)',
    },
  },
  'Logs and metrics:': {
    'log-level': {
      choices: ['error', 'warn', 'info', 'debug'],
      default: 'info',
      type: 'string',
      value: 'LEVEL',
      describe: 'error, warn, info (default) or debug: what is logged on standard error, in JSON',
    },
    'metrics-listen': {
      type: 'string',
      value: 'HOST:PORT',
      kind: 'text',
      describe: 'for Prometheus; a PORT alone is one of 127.0.0.1',
    },
  },
} as const

/** The values of the options of `pbmanifest serve`, as the command line has them. */
export type ServeValues = OptionValues<typeof serveOptions>

/** How much the log says, from little to much. */
export type LogLevel = ServeValues['log-level']

/** What the command line says; the files that it names have not been read. */
export interface ServeSettings {
  readonly dataDirectory: string
  /** `undefined`: as the environment says. */
  readonly server: string | undefined
  readonly socket: SocketPlace | undefined
  readonly network: NetworkSettings | undefined
  readonly limits: AgentLimits
  readonly drainTimeoutMs: number
  readonly metrics: Address | undefined
}

/** {@link NetworkAccess}, with the names of files. */
export interface NetworkSettings {
  readonly address: NetworkAccess['address']
  readonly usersFile: string | undefined
  readonly tls: { readonly certificate: string; readonly key: string } | undefined
}

const DEFAULT_PORT = 5433
const DEFAULT_MODE = 0o700
const DEFAULT_MAX_CONNECTIONS = 100
const DEFAULT_MAX_BACKUPS = 10
const DEFAULT_MESSAGE_KB = 4096
const DEFAULT_IDLE_SECONDS = 900
const DEFAULT_BACKUP_IDLE_SECONDS = 4 * 3600
const DEFAULT_DRAIN_SECONDS = 60
/** PostgreSQL's. */
const DEFAULT_AUTHENTICATION_SECONDS = 60

/** More, and a timer of Node's would fire at once. */
const MAX_SECONDS = 2_000_000
const MAX_MESSAGE_KB = 1024 * 1024

/** @throws {@link PbManifestError} `USAGE` */
export function readServeOptions(values: ServeValues): ServeSettings {
  if (values.pgdata === undefined) throw usageError('no data directory specified')
  if (values.listen === undefined && values['socket-dir'] === undefined) {
    throw usageError(
      'nothing to listen on specified',
      'Give the directory of a Unix socket with --socket-dir, or an address with --listen.',
    )
  }
  const seconds = readSeconds('--idle-timeout', values['idle-timeout'], DEFAULT_IDLE_SECONDS)
  const maxConnections =
    readOptional(readCount, '--max-connections', values['max-connections']) ?? DEFAULT_MAX_CONNECTIONS
  return {
    dataDirectory: values.pgdata,
    server: values.server,
    socket: readSocket(values),
    network: readNetwork(values),
    limits: {
      maxConnections,
      maxUnauthenticated:
        readOptional(readCount, '--max-unauthenticated', values['max-unauthenticated']) ?? maxConnections,
      authenticationTimeoutMs: readAuthenticationSeconds(values['authentication-timeout']) * 1000,
      maxBackups: readOptional(readCount, '--max-backups', values['max-backups']) ?? DEFAULT_MAX_BACKUPS,
      maxMessageBytes: readKilobytes(values['max-message-size']) * 1024,
      idleTimeoutMs: seconds * 1000,
      stallTimeoutMs: seconds * 1000,
      backupIdleTimeoutMs:
        readSeconds('--backup-idle-timeout', values['backup-idle-timeout'], DEFAULT_BACKUP_IDLE_SECONDS) *
        1000,
    },
    drainTimeoutMs: readSeconds('--drain-timeout', values['drain-timeout'], DEFAULT_DRAIN_SECONDS) * 1000,
    metrics: readOptional(readMetricsAddress, '--metrics-listen', values['metrics-listen']),
  }
}

function readSocket(values: ServeValues): SocketPlace | undefined {
  const directory = values['socket-dir']
  if (directory === undefined) {
    if (values['socket-mode'] !== undefined) throw needs('--socket-mode', '--socket-dir')
    if (values.port !== undefined) throw needs('--port', '--socket-dir')
    return undefined
  }
  return {
    directory,
    port: readOptional(readPort, '-p/--port', values.port) ?? DEFAULT_PORT,
    mode: readOptional(readMode, '--socket-mode', values['socket-mode']) ?? DEFAULT_MODE,
  }
}

/** Without users or without encryption only when that was said. */
function readNetwork(values: ServeValues): NetworkSettings | undefined {
  const { listen, insecure, 'users-file': usersFile, 'tls-cert': certificate, 'tls-key': key } = values
  if (listen === undefined) {
    for (const name of ['users-file', 'tls-cert', 'tls-key', 'insecure'] as const) {
      if (values[name] !== undefined) throw needs(`--${name}`, '--listen')
    }
    return undefined
  }
  const address = readAddress('--listen', listen)
  if (usersFile === undefined && insecure !== true) throw openToAll('--users-file', 'everybody would get in')
  if ((certificate === undefined) !== (key === undefined)) {
    throw usageError('--tls-cert and --tls-key must be given together')
  }
  if (certificate === undefined || key === undefined) {
    if (insecure !== true) throw openToAll('--tls-cert and --tls-key', 'nothing would be encrypted')
    return { address, usersFile, tls: undefined }
  }
  return { address, usersFile, tls: { certificate, key } }
}

function readAddress(name: string, text: string): Address {
  const address = parseAddress(text)
  if (address === undefined) throw invalidValue(name, text, 'HOST:PORT, such as 10.0.0.5:5433 or [::1]:5433')
  return address
}

/** A port alone is one of this machine's own. */
function readMetricsAddress(name: string, text: string): Address {
  return readAddress(name, /^[0-9]+$/.test(text) ? `127.0.0.1:${text}` : text)
}

function readPort(name: string, text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw invalidValue(name, text, 'a whole number from 1 to 65535')
  return port
}

function readMode(name: string, text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) throw invalidValue(name, text, 'three octal digits, such as 0770')
  return Number.parseInt(text, 8)
}

function readSeconds(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const seconds = /^[0-9]{1,7}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY
  if (seconds > MAX_SECONDS) throw invalidValue(name, text, `a number of seconds from 0 to ${MAX_SECONDS}`)
  return seconds
}

function readAuthenticationSeconds(text: string | undefined): number {
  const seconds = readSeconds('--authentication-timeout', text, DEFAULT_AUTHENTICATION_SECONDS)
  if (seconds > 0) return seconds
  throw invalidValue('--authentication-timeout', text ?? '', 'a number of seconds from 1 on')
}

function readKilobytes(text: string | undefined): number {
  if (text === undefined) return DEFAULT_MESSAGE_KB
  const kilobytes = /^[0-9]{1,7}$/.test(text) ? Number(text) : 0
  if (kilobytes < 1 || kilobytes > MAX_MESSAGE_KB) {
    throw invalidValue('--max-message-size', text, `a number of kB from 1 to ${MAX_MESSAGE_KB}`)
  }
  return kilobytes
}

function needs(option: string, other: string): Error {
  return usageError(`${option} needs ${other}`)
}

function openToAll(options: string, consequence: string): Error {
  return usageError(`--listen needs ${options}: ${consequence}`, 'If that is what you want, say --insecure.')
}
