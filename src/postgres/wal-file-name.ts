declare const isWalFileName: unique symbol

/**
 * The name of a file of pg_wal that a backup takes: a segment (`%08X%08X%08X`) or a timeline history file
 * (`%08X.history`). It went through {@link parseWalFileName}, and nothing else makes one: a name that somebody else made up
 * leads nowhere but into pg_wal.
 */
export type WalFileName = string & { readonly [isWalFileName]: true }

/**
 * The gate for names of files in pg_wal.
 *
 * @returns `undefined` for any other name
 * @see src/include/access/xlog_internal.h (`IsXLogFileName`, `IsTLHistoryFileName`)
 */
export function parseWalFileName(name: string): WalFileName | undefined {
  return /^(?:[0-9A-F]{24}|[0-9A-F]{8}\.history)$/.test(name) ? (name as WalFileName) : undefined
}

/** The name that was made of numbers. @throws RangeError when one of these is none of PostgreSQL's */
export function makeWalFileName(name: string): WalFileName {
  const parsed = parseWalFileName(name)
  if (parsed === undefined) throw new RangeError(`"${name}" is no name of a WAL file`)
  return parsed
}
