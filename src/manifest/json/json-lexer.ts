import { isAscii } from 'node:buffer'
import { decodePathname, displayPathname } from '../../files/pathname.js'

/** JSON that cannot be read. The message is a sentence in the words of PostgreSQL's own lexer and parser. */
export class JsonSyntaxError extends Error {
  static endedUnexpectedly(): JsonSyntaxError {
    return new JsonSyntaxError('The input string ended unexpectedly.')
  }
}

/** A token, and where its first byte stands in the whole input. */
export interface JsonToken {
  readonly type: '{' | '}' | '[' | ']' | ',' | ':' | 'string' | 'number' | 'true' | 'false' | 'null' | 'end'
  /** A string's characters (bytes that are not UTF-8 kept as in a pathname); the spelling of everything else. */
  readonly text: string
  readonly offset: number
}

/** A token longer than this is no part of a manifest; the bound keeps hostile input from filling the memory. */
const MAX_TOKEN_BYTES = 1024 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MINUS = 0x2d

/**
 * Cuts JSON into tokens, from chunks that may end anywhere. As strict as PostgreSQL's own lexer, and as lenient:
 * bytes of a string that are not UTF-8 pass.
 *
 * @see src/common/jsonapi.c
 */
export class JsonLexer {
  /** Used again for each chunk: fresh memory would cost more than the lexing. */
  #memory = Buffer.alloc(0)
  /** The part of it that holds bytes of the input. */
  #buffer = this.#memory
  #position = 0
  /** Offset of the buffer's first byte in the whole input. */
  #base = 0
  #isEnded = false

  /** Adds the next bytes of the input; they are copied. What {@link pending} gave before is of no more use. */
  write(chunk: Buffer): void {
    const rest = this.#buffer.subarray(this.#position)
    const length = rest.length + chunk.length
    this.#base += this.#position
    this.#position = 0
    if (length > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(2 * length)
    rest.copy(this.#memory)
    chunk.copy(this.#memory, rest.length)
    this.#buffer = this.#memory.subarray(0, length)
  }

  /** Says that no more bytes will come. */
  end(): void {
    this.#isEnded = true
  }

  /** The bytes that are there and not consumed yet. */
  get pending(): Buffer {
    return this.#buffer.subarray(this.#position)
  }

  /** Where they begin in the whole input. */
  get offset(): number {
    return this.#base + this.#position
  }

  /** Consumes bytes that somebody else has read. */
  skip(bytes: number): void {
    this.#position += bytes
  }

  /** The next token; `undefined` when it is not whole yet. After `end()`, a token `end` for ever. */
  next(): JsonToken | undefined {
    const buffer = this.#buffer
    let position = this.#position
    while (position < buffer.length && isWhiteSpace(buffer[position])) position++
    this.#position = position
    const byte = buffer[position]
    if (byte === undefined) return this.#isEnded ? this.#token('end', '', position) : undefined
    switch (byte) {
      case 0x7b:
        return this.#token('{', '{', position + 1)
      case 0x7d:
        return this.#token('}', '}', position + 1)
      case 0x5b:
        return this.#token('[', '[', position + 1)
      case 0x5d:
        return this.#token(']', ']', position + 1)
      case 0x2c:
        return this.#token(',', ',', position + 1)
      case 0x3a:
        return this.#token(':', ':', position + 1)
      case QUOTE:
        return this.#string()
      default:
        return this.#word()
    }
  }

  #string(): JsonToken | undefined {
    const buffer = this.#buffer
    const start = this.#position + 1
    let hasEscape = false
    for (let at = start; at < buffer.length; at++) {
      const byte = buffer[at] as number
      if (byte === QUOTE) {
        requireSensibleLength(at + 1 - this.#position)
        const bytes = buffer.subarray(start, at)
        const text = hasEscape ? decodeEscapedString(bytes) : decodePlainString(bytes)
        return this.#token('string', text, at + 1)
      }
      if (byte === BACKSLASH) {
        hasEscape = true
        at++
      } else if (byte < 0x20) {
        throw new JsonSyntaxError(
          `Character with value 0x${byte.toString(16).padStart(2, '0')} must be escaped.`,
        )
      }
    }
    return this.#incomplete()
  }

  #word(): JsonToken | undefined {
    const buffer = this.#buffer
    const start = this.#position
    let at = start
    while (at < buffer.length && isWordByte(buffer[at] as number)) at++
    if (at === buffer.length && !this.#isEnded) return this.#incomplete()
    requireSensibleLength(at - start)
    const text = decodePathname(buffer.subarray(start, Math.max(at, start + 1)))
    if (text === 'true' || text === 'false' || text === 'null') return this.#token(text, text, at)
    if (/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(text))
      return this.#token('number', text, at)
    throw new JsonSyntaxError(`Token "${displayPathname(text)}" is invalid.`)
  }

  #incomplete(): undefined {
    if (this.#isEnded) throw JsonSyntaxError.endedUnexpectedly()
    requireSensibleLength(this.#buffer.length - this.#position)
    return undefined
  }

  #token(type: JsonToken['type'], text: string, end: number): JsonToken {
    const offset = this.#base + this.#position
    this.#position = end
    return { type, text, offset }
  }
}

function requireSensibleLength(bytes: number): void {
  if (bytes > MAX_TOKEN_BYTES) throw new JsonSyntaxError(`A token is longer than ${MAX_TOKEN_BYTES} bytes.`)
}

function decodePlainString(bytes: Buffer): string {
  return isAscii(bytes) ? bytes.toString('latin1') : decodePathname(bytes)
}

function isWhiteSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** The bytes of a number or a bare word; a word runs on over anything alphanumeric, so that `1x` is one bad token. */
function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    byte === MINUS ||
    byte === 0x2b ||
    byte === 0x2e ||
    byte === 0x5f ||
    byte >= 0x80
  )
}

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
function decodeEscapedString(bytes: Buffer): string {
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
