import type { WireEvent } from '../wire/server/wire-connection.js'
import { type AgentEvent, withoutBackupIds } from './agent-event.js'

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
