import type { WireEvent } from '../wire/server/wire-connection.js'

/** What happens to an agent, for a log and for metrics. No event has a backup's id: who knows it can join. */
export type AgentEvent =
  /** `address`: the path of a socket, or `HOST:PORT`. */
  | { readonly type: 'listening'; readonly address: string; readonly isEncrypted: boolean }
  | { readonly type: 'serving-metrics'; readonly address: string }
  /** Users, certificate and key were read again, and count for connections from now on. */
  | { readonly type: 'reloaded' }
  /** They could not be: those from before still count. */
  | { readonly type: 'reload-failed'; readonly message: string }
  /** The database server does not answer, or not as it should; a backup cannot start until it does. */
  | { readonly type: 'server-unavailable'; readonly message: string }
  /** No backup can start any more, and running ones may end: so many. */
  | { readonly type: 'draining'; readonly backups: number }
  | { readonly type: 'stopped' }
  | ConnectionEvent
  | BackupEvent

/** What a connection tells; whose it is, it adds. */
export type EventOfConnection = WithoutConnection<AgentEvent>

type WithoutConnection<Event> = Event extends { readonly connection: number }
  ? Omit<Event, 'connection'>
  : never

/** `connection` is the number that the client knows as its backend's process id. */
type ConnectionEvent =
  | {
      readonly type: 'connection-opened'
      readonly connection: number
      readonly remote: string
      readonly user: string
      readonly isEncrypted: boolean
    }
  | {
      readonly type: 'connection-closed'
      readonly connection: number
      readonly how: 'terminated' | 'lost'
      readonly reason: string | undefined
    }
  | {
      readonly type: 'authentication-failed'
      readonly connection: number
      readonly remote: string
      readonly user: string
    }
  /** Gone before it said who it is, as health checks do. */
  | { readonly type: 'connection-abandoned'; readonly connection: number; readonly remote: string }
  /** Turned away for another reason: too many, no encryption, no PostgreSQL protocol ... */
  | {
      readonly type: 'connection-refused'
      readonly connection: number
      readonly remote: string
      readonly user: string | undefined
      readonly sqlstate: string
      readonly message: string
    }
  | {
      readonly type: 'cancel-request'
      readonly connection: number
      readonly remote: string
      readonly isGranted: boolean
    }
  /** A file that nobody gets was asked for. */
  | { readonly type: 'file-refused'; readonly connection: number; readonly message: string }
  | {
      readonly type: 'command-failed'
      readonly connection: number
      /** `undefined`: it was none. */
      readonly command: string | undefined
      readonly sqlstate: string
      readonly message: string
    }
  /** A bug of ours. */
  | { readonly type: 'internal-error'; readonly connection: number; readonly stack: string }

/** `backup` is a number of our own, counted from 1. */
type BackupEvent =
  | {
      readonly type: 'backup-started'
      readonly backup: number
      readonly connection: number
      readonly user: string
      readonly label: string
      readonly startLsn: string
      readonly timeline: number
    }
  | { readonly type: 'worker-joined'; readonly backup: number; readonly connection: number }
  | { readonly type: 'backup-warning'; readonly backup: number; readonly message: string }
  | {
      readonly type: 'backup-stopped'
      readonly backup: number
      readonly bytes: number
      readonly seconds: number
    }
  | ({ readonly type: 'backup-finished' } & BackupTotals)
  | ({ readonly type: 'backup-aborted'; readonly sqlstate: string; readonly reason: string } & BackupTotals)

interface BackupTotals {
  readonly backup: number
  readonly bytes: number
  readonly seconds: number
  /** How many sessions took part, the leader's among them. */
  readonly sessions: number
  readonly checksumFailures: number
}

/** A message as a log may have it: what could be a backup's id, which is longer than the name of a WAL segment, is left out. */
export function withoutBackupIds(message: string): string {
  return message.replaceAll(/[0-9a-f]{25,}/gi, '<backup id>')
}

const INVALID_PASSWORD = '28P01'
const CONNECTION_FAILURE = '08006'

/** What an event of the protocol means to an agent; `undefined`: nothing that is worth a line. */
export function toAgentEvent(event: WireEvent): AgentEvent | undefined {
  const { pid: connection, remote } = event
  switch (event.type) {
    case 'connected':
      return undefined
    case 'authenticated':
      return {
        type: 'connection-opened',
        connection,
        remote,
        user: event.user,
        isEncrypted: event.isEncrypted,
      }
    case 'refused': {
      const { user, error } = event
      if (error.sqlstate === INVALID_PASSWORD && user !== undefined) {
        return { type: 'authentication-failed', connection, remote, user }
      }
      if (error.sqlstate === CONNECTION_FAILURE && user === undefined) {
        return { type: 'connection-abandoned', connection, remote }
      }
      const { sqlstate, message } = error
      return {
        type: 'connection-refused',
        connection,
        remote,
        user,
        sqlstate,
        message: withoutBackupIds(message),
      }
    }
    case 'cancel-request':
      return { type: 'cancel-request', connection, remote, isGranted: event.isGranted }
    case 'internal-error':
      return { type: 'internal-error', connection, stack: stackOf(event.error) }
    case 'disconnected': {
      const reason = event.error?.message
      return {
        type: 'connection-closed',
        connection,
        how: event.how,
        reason: reason === undefined ? undefined : withoutBackupIds(reason),
      }
    }
    default:
      return event satisfies never
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
