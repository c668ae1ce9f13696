/** Of the lower half of an LSN in text: at least so many. */
export type LsnDigits = 1 | 8

const lsnText = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/**
 * Reads a log sequence number (LSN), a byte position in the WAL, as PostgreSQL prints it: `16/B374D848`.
 *
 * Stricter than the `sscanf("%X/%X")` of PostgreSQL's own readers, which lets blanks, `0x`, a sign and trailing junk
 * pass. Zero padding (`%X/%08X`, as servers from 19 on print) is accepted.
 *
 * @returns the LSN, 0 to 2^64-1, or `undefined` when the text is not one.
 * @see https://www.postgresql.org/docs/current/datatype-pg-lsn.html
 * @example
 * ```ts
 * parseLsn('0/E00028') // 14680104n
 * ```
 */
export function parseLsn(text: string): bigint | undefined {
  const [, high, low] = lsnText.exec(text) ?? []
  if (high === undefined || low === undefined) return undefined
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/**
 * Writes a log sequence number as PostgreSQL prints it, in upper case.
 *
 * @param lsn - 0 to 2^64-1.
 * @param digits - 1, as servers up to 18: `%X/%X`; 8, as newer ones: `%X/%08X`. Readers take both.
 * @see src/include/access/xlogdefs.h (`LSN_FORMAT_ARGS`)
 * @example
 * ```ts
 * formatLsn(14680104n) // '0/E00028'
 * formatLsn(14680104n, 8) // '0/00E00028'
 * ```
 */
export function formatLsn(lsn: bigint, digits: LsnDigits = 1): string {
  const high = (lsn >> 32n).toString(16)
  const low = (lsn & 0xffff_ffffn).toString(16).padStart(digits, '0')
  return `${high}/${low}`.toUpperCase()
}
