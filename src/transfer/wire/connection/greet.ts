import { backendMessages } from '../protocol/backend-messages.js'
import type { CancelKey } from './cancel-table.js'
import type { SessionParameters } from './read-session-parameters.js'
import type { WireChannel } from './wire-channel.js'

/** Tells the client what it may rely on. The names and their order are a walsender's. */
export function greet(
  channel: WireChannel,
  { user, parameters }: SessionParameters,
  key: CancelKey,
  settings: ReadonlyMap<string, string>,
): void {
  const statuses = new Map([
    ['in_hot_standby', 'off'],
    ['integer_datetimes', 'on'],
    ['TimeZone', 'UTC'],
    ['IntervalStyle', 'postgres'],
    ['is_superuser', 'off'],
    ['application_name', parameters.get('application_name') ?? ''],
    ['default_transaction_read_only', 'off'],
    ['session_authorization', user],
    ['standard_conforming_strings', 'on'],
    ['DateStyle', 'ISO, MDY'],
    // Whatever the client asked for: there is no conversion.
    ['client_encoding', 'UTF8'],
    ['server_encoding', 'UTF8'],
    ...settings,
  ])
  channel.send(
    ...Array.from(statuses, ([name, value]) => backendMessages.parameterStatus(name, value)),
    backendMessages.backendKeyData(key.pid, key.secret),
  )
}
