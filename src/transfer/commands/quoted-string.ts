import { decodePathname, encodePathname, isUtf8Pathname } from '../../files/pathname.js'

/**
 * Strings of the grammar are SQL's: `'it''s'`. A pathname that is not UTF-8 cannot stand in a text, so its bytes stand in
 * the escape string that PostgreSQL has for that: `E'base/\xff'`. There, `\\` is a backslash, `\'` a quote and `\xNN` a byte;
 * the other escapes of PostgreSQL's are not known. A string never holds a NUL.
 *
 * @see https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 */

/**
 * Writes a string as the grammar has it.
 *
 * @throws RangeError when it holds what no string of the grammar can: a NUL, or half of a surrogate pair
 */
export function quoteString(value: string): string {
  if (value.includes('\0') || decodePathname(encodePathname(value)) !== value) {
    throw new RangeError('a command cannot hold this string')
  }
  const quoted = value.replaceAll("'", "''")
  return isUtf8Pathname(value) ? `'${quoted}'` : `E'${escapeBytes(quoted.replaceAll('\\', '\\\\'))}'`
}

function escapeBytes(text: string): string {
  return text.replace(/[\udc80-\udcff]/gu, (found) => `\\x${encodePathname(found).toString('hex')}`)
}

/**
 * Where the string that begins at this quote ends.
 *
 * @param quote - the place of the opening quote
 * @param isEscape - whether a backslash takes the next character with it
 * @returns the place of the closing quote, or -1
 */
export function findClosingQuote(text: string, quote: number, isEscape: boolean): number {
  const special = isEscape ? /['\\]/g : /'/g
  special.lastIndex = quote + 1
  for (let match = special.exec(text); match !== null; match = special.exec(text)) {
    const isPair = match[0] === '\\' || text[match.index + 1] === "'"
    if (!isPair) return match.index
    special.lastIndex = match.index + 2
  }
  return -1
}

/** Where a string cannot be read on, and why. */
export interface BadEscape {
  /** Counted from the beginning of the content. */
  readonly offset: number
  readonly reason: string
}

const escapes = /\\(?:x([0-9A-Fa-f]{2})|([\\']))?|''|[^\\']+/g

/**
 * Reads what stands between the quotes of an escape string.
 *
 * @returns the string, or what is wrong with it
 */
export function unescapeString(content: string): string | BadEscape {
  const parts: Buffer[] = []
  for (const { 0: piece, 1: hex, 2: literal, index } of content.matchAll(escapes)) {
    if (hex === '00') return { offset: index, reason: 'a string cannot hold a null byte' }
    if (hex !== undefined) parts.push(Buffer.from(hex, 'hex'))
    else if (literal !== undefined) parts.push(Buffer.from(literal))
    else if (piece === '\\') return { offset: index, reason: 'invalid escape sequence' }
    else parts.push(Buffer.from(piece === "''" ? "'" : piece))
  }
  return decodePathname(Buffer.concat(parts))
}
