/** What the server writes into the WAL: the setting `wal_level`. */
export type WalLevel = 'minimal' | 'replica' | 'logical'

const levels: readonly WalLevel[] = ['minimal', 'replica', 'logical']

/**
 * Names the level that pg_control and WAL records give as a number.
 *
 * @returns `undefined` for a number without a meaning.
 * @see src/include/access/xlog.h (`WalLevel`)
 */
export function walLevelOfNumber(value: number): WalLevel | undefined {
  return levels[value]
}
