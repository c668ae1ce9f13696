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
    ['application_name', parameters.get('application_name') ?? ''],
    // Whatever the client asked for: there is no conversion.
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO, MDY'],
    ['default_transaction_read_only', 'off'],
    ['in_hot_standby', 'off'],
    ['integer_datetimes', 'on'],
    ['IntervalStyle', 'postgres'],
    ['is_superuser', 'off'],
    ['server_encoding', 'UTF8'],
    ['server_version', ''],
    ['session_authorization', user],
    ['standard_conforming_strings', 'on'],
    ['TimeZone', 'UTC'],
    ...settings,
  ])
  channel.send(
    ...Array.from(statuses, ([name, value]) => backendMessages.parameterStatus(name, value)),
    backendMessages.backendKeyData(key.pid, key.secret),
  )
}
