import { parseLsn } from '../../postgres/lsn.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'
import type { CommandTokens, Token } from './command-tokens.js'

/** How each option of a command is read once its keyword was taken. */
export type OptionReaders<Options> = {
  readonly [Name in keyof Options & string]-?: (tokens: CommandTokens, keyword: Token) => Options[Name]
}

/**
 * Reads options up to the end of the command: in any order, each at most once, as a server's own grammar has them.
 *
 * @throws {@link CommandSyntaxError}
 */
export function readOptions<Options extends object>(
  tokens: CommandTokens,
  readers: OptionReaders<Options>,
): Partial<Options> {
  const options: Partial<Options> = {}
  while (tokens.next.type === 'word') {
    const name = tokens.next.word
    if (!isOption(name, readers)) throw tokens.unexpected(describeOptions(readers))
    const keyword = tokens.take()
    if (name in options) throw tokens.error(`duplicate option "${name.toLowerCase()}"`, keyword)
    options[name] = readers[name](tokens, keyword)
  }
  return options
}

function isOption<Options>(name: string, readers: OptionReaders<Options>): name is keyof Options & string {
  return Object.hasOwn(readers, name)
}

function describeOptions(readers: object): string | undefined {
  const names = Object.keys(readers)
  return names.length === 0 ? undefined : `The options are ${names.join(', ')}.`
}

/** In kB/s: the same limits as a server's. @see src/include/backup/basebackup.h */
const MIN_RATE = 32
const MAX_RATE = 1_048_576

/** A flag is its keyword alone. */
export function readFlag(): true {
  return true
}

export function formatFlag(keyword: string, isSet: boolean): string[] {
  return isSet ? [keyword] : []
}

/** @throws {@link CommandSyntaxError}, as do the others */
export function readString(tokens: CommandTokens): string {
  const token = tokens.next
  if (token.type !== 'string') throw tokens.unexpected('A string in single quotes is expected here.')
  tokens.take()
  return token.value
}

export function readMaxRate(tokens: CommandTokens): number {
  const token = tokens.next
  if (token.type !== 'number')
    throw tokens.unexpected('A whole number of kilobytes per second is expected here.')
  const rate = Number(token.digits)
  if (!isRate(rate)) throw tokens.error(rateOutOfRange(token.digits.slice(0, 20)), token)
  tokens.take()
  return rate
}

export function isRate(rate: number): boolean {
  return Number.isInteger(rate) && rate >= MIN_RATE && rate <= MAX_RATE
}

/** What a server says of such a rate. */
export function rateOutOfRange(shown: string): string {
  return `${shown} is outside the valid range for parameter "MAX_RATE" (${MIN_RATE} .. ${MAX_RATE})`
}

export function readManifestOption(tokens: CommandTokens): 'yes' | 'no' | 'force-encode' {
  const token = tokens.next
  const value = readString(tokens).toLowerCase()
  if (value === 'yes' || value === 'no' || value === 'force-encode') return value
  throw tokens.error('unrecognized manifest option', token, 'It is one of yes, no and force-encode.')
}

export function readLocation(tokens: CommandTokens): bigint {
  const token = tokens.next
  const lsn = parseLsn(readString(tokens))
  if (lsn !== undefined) return lsn
  throw tokens.error(
    'invalid WAL location',
    token,
    "A WAL location is two hexadecimal numbers, as in '0/2000028'.",
  )
}

/** No backup has more files, nor has what counts them. */
const MAX_FILES = 999_999_999_999

export function readFileCount(tokens: CommandTokens): number {
  const token = tokens.next
  if (token.type !== 'number') throw tokens.unexpected('A number of files is expected here.')
  const count = Number(token.digits)
  if (count > MAX_FILES) throw tokens.error(`${token.digits.slice(0, 20)} is no number of files`, token)
  tokens.take()
  return count
}

/** One that is guessed is as good as none. */
export function readSessionId(tokens: CommandTokens): string {
  const token = tokens.next
  const id = readString(tokens)
  if (/^[0-9a-f]{32}$/.test(id)) return id
  throw tokens.error(
    'invalid session id',
    token,
    'It is 16 random bytes, as 32 lower-case hexadecimal digits.',
  )
}

export function readTablespaceOid(tokens: CommandTokens): number {
  const token = tokens.next
  const oid = parsePositiveUnsignedInt32(readString(tokens))
  if (oid !== undefined) return oid
  throw tokens.error('invalid tablespace OID', token, "An OID is a whole number in quotes, as in '16384'.")
}
