import { PbManifestError } from '../../errors.js'
import { displayText, shortenText } from '../../files/display-text.js'
import { decodePathname, encodePathname, isUtf8Pathname } from '../../files/pathname.js'

/** How much of a long token a message repeats. */
const MAX_SHOWN = 60

/** No pathname is longer (Linux's PATH_MAX), and no other string of a command comes near it. In bytes. */
const MAX_STRING_BYTES = 4096
/** A byte takes four characters at most: `\xNN`. */
const MAX_STRING_LENGTH = 4 * MAX_STRING_BYTES

/** A command that is not one. Its message is in the words of PostgreSQL's own parser. */
export class CommandSyntaxError extends PbManifestError {
  /** Where in the text, counted in characters from 1, as a server counts it. */
  readonly position: number

  /** @param offset - where in the text, counted in code units from 0 */
  constructor(message: string, text: string, offset: number, hint?: string) {
    const position = countCharacters(text, offset) + 1
    super('USAGE', message, {
      details: [`this is at character ${position} of the command`],
      ...(hint === undefined ? {} : { hint }),
    })
    this.position = position
  }
}

function countCharacters(text: string, end: number): number {
  let count = 0
  for (let at = 0; at < end; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) count++
  return count
}

/** A word of a command. */
export type Token =
  /** A keyword, in upper case: case does not matter. */
  | { readonly type: 'word'; readonly start: number; readonly end: number; readonly word: string }
  | { readonly type: 'number'; readonly start: number; readonly end: number; readonly digits: string }
  /** A quoted string; `value` is what it means. */
  | { readonly type: 'string'; readonly start: number; readonly end: number; readonly value: string }
  /** Any other character. */
  | { readonly type: 'symbol'; readonly start: number; readonly end: number; readonly symbol: string }
  | { readonly type: 'end'; readonly start: number; readonly end: number }

// White space is the scanner's of a server, no more: not that of Unicode.
const whiteSpace = /[ \t\n\r\f\v]*/y
const word = /[A-Za-z_][A-Za-z0-9_$]*/y
const number = /[0-9]+/y
const stringStart = /[Ee]?'/y

/** Reads a command token by token. */
export class CommandTokens {
  readonly #text: string
  #token: Token

  /** @throws {@link CommandSyntaxError}, as do the other methods */
  constructor(text: string) {
    this.#text = text
    this.#requireText()
    this.#token = this.#read(0)
  }

  /** The token that comes next, which stays where it is. */
  get next(): Token {
    return this.#token
  }

  /** Takes the next token. */
  take(): Token {
    const token = this.#token
    this.#token = this.#read(token.end)
    return token
  }

  /** Takes the next token when it is this character. */
  takeSymbol(symbol: string): boolean {
    const isThere = this.#token.type === 'symbol' && this.#token.symbol === symbol
    if (isThere) this.take()
    return isThere
  }

  /** The error that says that this token, by default the next, should not be here. */
  unexpected(hint?: string, token: Token = this.#token): CommandSyntaxError {
    const shown = this.#show(token)
    return token.type === 'end'
      ? this.error('syntax error at end of input', token, hint)
      : this.error(`syntax error at or near "${shown}"`, token, hint)
  }

  /** An error at this token. */
  error(message: string, token: Token, hint?: string): CommandSyntaxError {
    return new CommandSyntaxError(message, this.#text, token.start, hint)
  }

  /** No byte sequence of a connection is a NUL or half of a surrogate pair, so a text with one came another way. */
  #requireText(): void {
    const text = this.#text
    const nul = text.indexOf('\0')
    if (nul !== -1) throw new CommandSyntaxError('a command cannot hold a null byte', text, nul)
    if (text.isWellFormed()) return
    const surrogate = text.search(/\p{Surrogate}/u)
    throw new CommandSyntaxError(
      'a command must be valid Unicode',
      text,
      surrogate,
      String.raw`Write bytes that are no text as E'\xNN'.`,
    )
  }

  #read(from: number): Token {
    const start = this.#match(whiteSpace, from)?.end ?? from
    if (start === this.#text.length) return { type: 'end', start, end: start }
    // Before words, since the E of an escape string looks like one.
    if (this.#match(stringStart, start) !== undefined) return this.#readString(start)
    const wordMatch = this.#match(word, start)
    if (wordMatch !== undefined)
      return { type: 'word', start, end: wordMatch.end, word: wordMatch.text.toUpperCase() }
    const numberMatch = this.#match(number, start)
    if (numberMatch !== undefined)
      return { type: 'number', start, end: numberMatch.end, digits: numberMatch.text }
    const symbol = String.fromCodePoint(this.#text.codePointAt(start) ?? 0)
    return { type: 'symbol', start, end: start + symbol.length, symbol }
  }

  #readString(start: number): Token {
    const isEscape = this.#text[start] !== "'"
    const quote = isEscape ? start + 1 : start
    const closing = findClosingQuote(this.#text, quote, isEscape)
    if (closing === -1) {
      const shown = shorten(this.#text.slice(start))
      throw new CommandSyntaxError(`unterminated quoted string at or near "${shown}"`, this.#text, start)
    }
    const length = closing - quote - 1
    if (length > MAX_STRING_LENGTH) throw this.#tooLong(start)
    const content = this.#text.slice(quote + 1, closing)
    const value = isEscape ? unescapeString(content) : content.replaceAll("''", "'")
    if (typeof value === 'string') {
      if (isTooLong(value)) throw this.#tooLong(start)
      return { type: 'string', start, end: closing + 1, value }
    }
    throw new CommandSyntaxError(
      value.reason,
      this.#text,
      quote + 1 + value.offset,
      String.raw`An escape string knows \\, \' and \xNN, where NN is not 00.`,
    )
  }

  #tooLong(start: number): CommandSyntaxError {
    const shown = shorten(this.#text.slice(start))
    return new CommandSyntaxError(
      `quoted string too long (max ${MAX_STRING_BYTES} bytes) at or near "${shown}"`,
      this.#text,
      start,
    )
  }

  #match(pattern: RegExp, from: number): { readonly end: number; readonly text: string } | undefined {
    pattern.lastIndex = from
    const match = pattern.exec(this.#text)
    return match === null ? undefined : { end: pattern.lastIndex, text: match[0] }
  }

  #show(token: Token): string {
    return shorten(this.#text.slice(token.start, token.end))
  }
}

function isTooLong(value: string): boolean {
  // Most are so short that nobody needs to count: a code unit has three bytes at most.
  return 3 * value.length > MAX_STRING_BYTES && encodePathname(value).length > MAX_STRING_BYTES
}

function shorten(text: string): string {
  return displayText(shortenText(text, MAX_SHOWN))
}

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
function findClosingQuote(text: string, quote: number, isEscape: boolean): number {
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
interface BadEscape {
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
function unescapeString(content: string): string | BadEscape {
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
