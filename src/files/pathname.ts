import { isUtf8 } from 'node:buffer'
import { displayText, shortenText } from './display-text.js'

/**
 * A pathname of a manifest as a JavaScript string, without loss.
 *
 * PostgreSQL's pathnames are bytes. Where they are valid UTF-8, which is nearly always, the string is the ordinary
 * text. A byte that is not part of valid UTF-8 becomes the lone surrogate U+DC00 + byte, a code unit that no valid
 * text holds. So two pathnames are the same bytes exactly when they are the same string.
 */
export type Pathname = string

const ESCAPE_BASE = 0xdc00

/** The pathname that these bytes are. */
export function decodePathname(bytes: Buffer): Pathname {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const length = validSequenceLength(bytes, at)
    text +=
      length === 0
        ? String.fromCharCode(ESCAPE_BASE + bytes.readUInt8(at))
        : bytes.toString('utf8', at, at + length)
    at += length || 1
  }
  return text
}

/** The bytes of a pathname, as the file system and `"Encoded-Path"` want them. */
export function encodePathname(pathname: Pathname): Buffer {
  if (pathname.isWellFormed()) return Buffer.from(pathname, 'utf8')
  const parts: Buffer[] = []
  for (const character of pathname) {
    const code = character.codePointAt(0) ?? 0
    parts.push(isEscapedByte(code) ? Buffer.of(code - ESCAPE_BASE) : Buffer.from(character, 'utf8'))
  }
  return Buffer.concat(parts)
}

/** Where the file of this pathname is, as the calls of `node:fs` take it. */
export function pathOf(directory: Pathname, pathname: Pathname): string | Buffer {
  return pathTo(`${directory}/${pathname}`)
}

/** The same for a pathname that is a path already. */
export function pathTo(pathname: Pathname): string | Buffer {
  return isUtf8Pathname(pathname) ? pathname : encodePathname(pathname)
}

/** Whether PostgreSQL would write this pathname as `"Path"` (true) or as `"Encoded-Path"` (false). */
export function isUtf8Pathname(pathname: Pathname): boolean {
  return pathname.isWellFormed()
}

/**
 * A pathname for a message, on one line: a very long one shortened, and each byte that is no text, or of a character that
 * is not to be seen, as `\xNN`. A backslash that could be taken for the beginning of such an escape becomes one itself, so
 * what is shown stands for one pathname only.
 */
export function displayPathname(pathname: Pathname): string {
  return escapePathname(shortenText(pathname))
}

/** The same of any length, for a list of pathnames. {@link unescapePathname} undoes it. */
export function escapePathname(pathname: Pathname): string {
  return displayText(pathname.replaceAll(/\\(?=x[0-9a-f]{2})/gi, String.raw`\x5c`))
}

/** The pathname that a person means, who may write each byte as `\xNN`, as it is shown. */
export function unescapePathname(text: string): Pathname {
  const pathname = text.replaceAll(/\\x([0-9a-f]{2})/gi, (_, digits: string) => decodeByte(digits))
  // Several bytes that were written so may be one character.
  return decodePathname(encodePathname(pathname))
}

function decodeByte(digits: string): Pathname {
  const byte = Number.parseInt(digits, 16)
  return String.fromCharCode(byte < 0x80 ? byte : ESCAPE_BASE + byte)
}

/** Orders pathnames by their code units: not by any locale's rules, so that every machine agrees. */
export function comparePathnames(left: Pathname, right: Pathname): number {
  if (left === right) return 0
  return left < right ? -1 : 1
}

function isEscapedByte(code: number): boolean {
  return code >= ESCAPE_BASE + 0x80 && code <= ESCAPE_BASE + 0xff
}

function validSequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(at, at + length))) return length
  }
  return 0
}
