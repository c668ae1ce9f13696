import type { WireClose } from '../wire/wire-handler.js'
import { sqlstates, type WireErrorData } from './wire-error-data.js'

// What sessions are told that end otherwise than by their own doing.

export const abortedByLeader: WireErrorData = {
  sqlstate: sqlstates.queryCanceled,
  message: 'the backup was aborted by the session that started it',
  detail: undefined,
  hint: undefined,
  position: undefined,
  bug: undefined,
}

/** A client that is there and hears this is not to come back: it would take turns with the other one. */
export const replaced: WireErrorData = {
  ...abortedByLeader,
  sqlstate: sqlstates.adminShutdown,
  message: 'terminating connection because another session has taken its place',
}

export function leaderLeft(how: WireClose): WireErrorData {
  const what = how === 'terminated' ? 'has ended' : 'was lost'
  return {
    ...abortedByLeader,
    sqlstate: sqlstates.connectionFailure,
    message: `the connection that started the backup ${what} before the backup was complete`,
  }
}

export const shutdown: WireErrorData = {
  ...abortedByLeader,
  sqlstate: sqlstates.adminShutdown,
  message: 'terminating connection due to administrator command',
}
