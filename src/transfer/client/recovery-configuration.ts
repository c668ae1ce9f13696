import type { PostgresVersion } from '../../postgres/versions.js'
import type { ConnectionOptions } from '../connection/connection-options.js'

export interface RecoveryConfiguration {
  readonly conninfo: ConnectionOptions['conninfo']
  /** Of the server: what it does not know is left out. */
  readonly version: PostgresVersion
  /** `-S`; `undefined`: none. */
  readonly slot: string | undefined
}

/** The lines that `-R` adds to postgresql.auto.conf. As with pg_basebackup, a password that was given is among them. */
export function formatRecoveryConfiguration({ conninfo, version, slot }: RecoveryConfiguration): string {
  const known = conninfo.filter(([keyword]) => keyword !== 'dbname' || version.hasSlotSynchronization)
  const parameters = known.map(([keyword, value]) => `${keyword}=${quoteConninfoValue(value)}`)
  const lines = [`primary_conninfo = ${quoteSetting(parameters.join(' '))}\n`]
  if (slot !== undefined) lines.push(`primary_slot_name = ${quoteSetting(slot)}\n`)
  return lines.join('')
}

/** @see src/fe_utils/string_utils.c (`appendConnStrVal`) */
function quoteConninfoValue(value: string): string {
  return /^[A-Za-z0-9_.]+$/.test(value) ? value : `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`
}

/** @see src/port/quotes.c (`escape_single_quotes_ascii`) */
function quoteSetting(value: string): string {
  return `'${value.replaceAll(/['\\]/g, '$&$&')}'`
}
