const SPACE = 0x20
const EQUALS = 0x3d
const LF = 0x0a

/** The records of a pax extended header by their keyword; values are bytes. */
export type PaxRecords = ReadonlyMap<string, Buffer>

/**
 * Reads the records of a pax extended header: `<length> <keyword>=<value>`, each with a line feed, the length being
 * that of all of it in decimal.
 *
 * @returns `undefined` when they are not well-formed
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html "pax Extended Header"
 */
export function parsePaxRecords(bytes: Buffer): PaxRecords | undefined {
  const records = new Map<string, Buffer>()
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(SPACE, at)
    const length = space === -1 ? undefined : parseDecimal(bytes.subarray(at, space))
    const equals = bytes.indexOf(EQUALS, space)
    if (length === undefined || space === -1 || equals === -1) return undefined
    const end = at + length
    if (end > bytes.length || equals >= end || bytes[end - 1] !== LF) return undefined
    records.set(bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, end - 1))
    at = end
  }
  return records
}

/** A whole number below 2^53 in plain decimal digits. */
export function parseDecimal(bytes: Buffer): number | undefined {
  const text = bytes.toString('latin1')
  if (!/^[0-9]{1,16}$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
