import { decodePathname, displayPathname } from '../../files/pathname.js'
import { JsonSyntaxError } from './json-syntax-error.js'

const BACKSLASH = 0x5c

const simpleEscapes: Readonly<Record<string, number>> = {
  '"': 0x22,
  '\\': 0x5c,
  '/': 0x2f,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
}

/**
 * The characters of a JSON string from the bytes between its quotes.
 *
 * Refuses what PostgreSQL refuses: unknown escapes, `\u0000`, surrogates without their partner.
 */
export function decodeEscapedString(bytes: Buffer): string {
  const parts: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    const backslash = bytes.indexOf(BACKSLASH, at)
    if (backslash === -1) break
    parts.push(bytes.subarray(at, backslash))
    const { decoded, length } = decodeEscape(bytes, backslash)
    parts.push(decoded)
    at = backslash + length
  }
  parts.push(bytes.subarray(at))
  return decodePathname(Buffer.concat(parts))
}

interface Escape {
  readonly decoded: Buffer
  /** How many bytes of the input it took. */
  readonly length: number
}

function decodeEscape(bytes: Buffer, at: number): Escape {
  const letter = String.fromCharCode(bytes[at + 1] ?? 0)
  if (letter === 'u') return decodeUnicodeEscape(bytes, at)
  const simple = simpleEscapes[letter]
  if (simple === undefined) {
    throw new JsonSyntaxError(`Escape sequence "\\${displayPathname(letter)}" is invalid.`)
  }
  return { decoded: Buffer.of(simple), length: 2 }
}

function decodeUnicodeEscape(bytes: Buffer, at: number): Escape {
  const unit = readCodeUnit(bytes, at)
  if (unit === 0) throw new JsonSyntaxError('\\u0000 cannot be converted to text.')
  if (isLowSurrogate(unit)) throw lowSurrogateError()
  if (!isHighSurrogate(unit)) return { decoded: Buffer.from(String.fromCharCode(unit)), length: 6 }
  if (bytes.toString('latin1', at + 6, at + 8) !== '\\u') throw lowSurrogateError()
  const low = readCodeUnit(bytes, at + 6)
  if (isHighSurrogate(low))
    throw new JsonSyntaxError('Unicode high surrogate must not follow a high surrogate.')
  if (!isLowSurrogate(low)) throw lowSurrogateError()
  return { decoded: Buffer.from(String.fromCharCode(unit, low)), length: 12 }
}

function readCodeUnit(bytes: Buffer, at: number): number {
  const digits = bytes.toString('latin1', at + 2, at + 6)
  if (!/^[0-9A-Fa-f]{4}$/.test(digits)) {
    throw new JsonSyntaxError('"\\u" must be followed by four hexadecimal digits.')
  }
  return Number.parseInt(digits, 16)
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

function lowSurrogateError(): JsonSyntaxError {
  return new JsonSyntaxError('Unicode low surrogate must follow a high surrogate.')
}
