import { closeSync, readFileSync } from 'node:fs'
import { NotARegularFileError, openRegularFile } from '../../files/open-regular-file.js'

/** Whose password is looked for. */
interface PasswordQuery {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The password file of libpq: `hostname:port:database:username:password`, first match wins. */
export interface PasswordFile {
  find(query: PasswordQuery): string | undefined
  /** Why the file was ignored. */
  readonly warning: string | undefined
}

/**
 * Reads a password file. One that is not there, cannot be read, or that others may read, holds nothing: libpq goes on
 * without it. (The package `pgpass` would do much of this, but warns on standard error and reads `process.env`.)
 *
 * @see https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
export function readPasswordFile(path: string): PasswordFile {
  try {
    const { descriptor, stats } = openRegularFile(path)
    try {
      if ((stats.mode & 0o077) !== 0) return nothing(`password file "${path}" ${tooOpen}`)
      const entries = readFileSync(descriptor, 'utf8')
        .split('\n')
        .flatMap((line) => parseLine(line.replace(/\r$/, '')))
      return { find: (query) => entries.find((entry) => matches(entry, query))?.password, warning: undefined }
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    return nothing(
      error instanceof NotARegularFileError ? `password file "${path}" is not a plain file` : undefined,
    )
  }
}

const tooOpen = 'has group or world access; permissions should be u=rw (0600) or less'

interface Entry {
  /** Host, port, database, user; `undefined`: any. */
  readonly fields: readonly (string | undefined)[]
  readonly password: string
}

function parseLine(line: string): Entry[] {
  if (line.startsWith('#')) return []
  const [, ...texts] =
    /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):(.*)$/.exec(line) ?? []
  // The password ends at a colon that is not escaped: a further field is not ours.
  const password = /^(?:[^:\\]|\\.?)*/.exec(texts.pop() ?? '')?.[0] ?? ''
  if (texts.length !== 4) return []
  const fields = texts.map((text) => (text === '*' ? undefined : unescape(text)))
  return [{ fields, password: unescape(password) }]
}

function matches({ fields }: Entry, { host, port, database, user }: PasswordQuery): boolean {
  const wanted = [host, String(port), database, user]
  return fields.every((field, index) => field === undefined || field === wanted[index])
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, '$1')
}

function nothing(warning: string | undefined): PasswordFile {
  return { find: () => undefined, warning }
}
