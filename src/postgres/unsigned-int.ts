/** The largest value of C's `uint32`: of a timeline id, an OID, a relation number. */
const maxUnsignedInt32 = 0xffff_ffff

/**
 * Reads a positive decimal number of PostgreSQL's 32-bit kinds: a timeline id, an OID, a relation or segment number.
 *
 * PostgreSQL's `sscanf("%u")` lets a sign, blanks and an overflow pass; here they are `undefined`, and so is 0, which
 * PostgreSQL reserves for "invalid" in each of these kinds.
 *
 * @returns 1 to 2^32-1, or `undefined`.
 */
export function parsePositiveUnsignedInt32(text: string): number | undefined {
  if (!/^[0-9]{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value >= 1 && value <= maxUnsignedInt32 ? value : undefined
}
