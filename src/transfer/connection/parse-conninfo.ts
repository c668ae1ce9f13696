import { PbManifestError } from '../../errors.js'
import { type Conninfo, isConninfoKeyword } from './conninfo-keywords.js'
import { isConnectionUri, parseConnectionUri } from './parse-connection-uri.js'

/**
 * Reads what libpq takes in place of a database name: a connection string, a connection URI, or just the name.
 *
 * @throws {@link PbManifestError} `USAGE`. No message repeats a part that may be a password.
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 */
export function parseConninfo(text: string): Conninfo {
  if (isConnectionUri(text)) return parseConnectionUri(text)
  if (!text.includes('=')) return new Map(text === '' ? [] : [['dbname', text]])
  return parseConnectionString(text)
}

const blanks = /\s*/y
const name = /[^=\s]+/y
const equals = /\s*=\s*/y
const quotedValue = /'((?:[^'\\]|\\[^])*)'/y
const plainValue = /((?:[^\s\\]|\\[^])*)/y

/** @see src/interfaces/libpq/fe-connect.c (`conninfo_parse`) */
function parseConnectionString(text: string): Conninfo {
  const values = new Map<string, string>()
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at = pattern.lastIndex
    return found
  }
  for (take(blanks); at < text.length; take(blanks)) {
    const keyword = take(name)?.[0] ?? ''
    // libpq repeats the word here. It may be the second half of a password that was not quoted.
    if (take(equals) === null) throw usage('missing "=" in connection info string', quoteHint)
    if (!isConninfoKeyword(keyword)) throw usage(`invalid connection option "${keyword}"`)
    const value = text[at] === "'" ? take(quotedValue) : take(plainValue)
    if (value === null) throw usage('unterminated quoted string in connection info string')
    values.set(keyword, (value[1] ?? '').replaceAll(/\\([^])/g, '$1'))
  }
  return values
}

const quoteHint = 'A value with blanks has to stand in single quotes.'

function usage(message: string, hint?: string): PbManifestError {
  return new PbManifestError('USAGE', message, hint === undefined ? {} : { hint })
}
