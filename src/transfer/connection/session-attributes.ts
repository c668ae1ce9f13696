import type { PgClient } from './pg-connection.js'
import { ask } from './ask.js'
import type { SessionAttributes } from './connection-options.js'

/** What one host can be asked for. */
export type HostAttributes = Exclude<SessionAttributes, 'prefer-standby'>

/**
 * Whether the server is what libpq's `target_session_attrs` wants. `SHOW` works on replication connections, too: to them
 * a standby is a server whose transactions are read only, and so it is to 13, which has no `in_hot_standby`.
 */
export async function hasSessionAttributes(client: PgClient, attributes: HostAttributes): Promise<boolean> {
  switch (attributes) {
    case 'any':
      return true
    case 'read-write':
      return !(await isOn(client, ['transaction_read_only']))
    case 'read-only':
      return isOn(client, ['transaction_read_only'])
    case 'primary':
      return !(await isOn(client, ['in_hot_standby', 'transaction_read_only']))
    case 'standby':
      return isOn(client, ['in_hot_standby', 'transaction_read_only'])
    default:
      return attributes satisfies never
  }
}

/** The first of the settings that the server knows. */
async function isOn(client: PgClient, settings: readonly string[]): Promise<boolean> {
  for (const [index, setting] of settings.entries()) {
    try {
      const [row] = await ask<Record<string, string>>(client, `SHOW ${setting}`)
      return row?.[setting] === 'on'
    } catch (error) {
      if (index === settings.length - 1) throw error
    }
  }
  return false
}
