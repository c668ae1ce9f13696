const SPACE = 0x20
const EQUALS = 0x3d
const LF = 0x0a

const SPARSE_MAP = 'GNU.sparse.map'

/** The records of a pax extended header that say what a member is, by their keyword; values are bytes. */
export type PaxRecords = ReadonlyMap<string, Buffer>

/** Any others are passed over, so that what is kept of an archive does not grow with it. */
const KEYWORDS: ReadonlySet<string> = new Set([
  'path',
  'linkpath',
  'size',
  'GNU.sparse.major',
  'GNU.sparse.minor',
  'GNU.sparse.name',
  'GNU.sparse.realsize',
  'GNU.sparse.size',
  SPARSE_MAP,
])
/** Format 0.0 of sparse members has a record of its own for each number of the map that 0.1 has in one. */
const SPARSE_NUMBERS = ['GNU.sparse.offset', 'GNU.sparse.numbytes'] as const

/**
 * Reads the records of a pax extended header: `<length> <keyword>=<value>`, each with a line feed, the length being
 * that of all of it in decimal.
 *
 * @returns `undefined` when they are not well-formed
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html "pax Extended Header"
 */
export function parsePaxRecords(bytes: Buffer): PaxRecords | undefined {
  const records = new Map<string, Buffer>()
  const sparseNumbers: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(SPACE, at)
    const length = space === -1 ? undefined : parseDecimal(bytes.subarray(at, space))
    const equals = bytes.indexOf(EQUALS, space)
    if (length === undefined || space === -1 || equals === -1) return undefined
    const end = at + length
    if (end > bytes.length || equals >= end || bytes[end - 1] !== LF) return undefined
    const keyword = bytes.toString('utf8', space + 1, equals)
    const value = bytes.subarray(equals + 1, end - 1)
    if (keyword === SPARSE_NUMBERS[sparseNumbers.length % 2]) sparseNumbers.push(value)
    else if (KEYWORDS.has(keyword)) records.set(keyword, value)
    at = end
  }
  if (sparseNumbers.length > 0) records.set(SPARSE_MAP, Buffer.from(sparseNumbers.join(',')))
  return records
}

/** A whole number below 2^53 in plain decimal digits. */
export function parseDecimal(bytes: Buffer): number | undefined {
  const text = bytes.toString('latin1')
  if (!/^[0-9]{1,16}$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
