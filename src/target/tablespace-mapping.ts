import { isAbsolute, posix } from 'node:path'
import { PbManifestError } from '../errors.js'
import { type Pathname, unescapePathname } from '../files/pathname.js'

/**
 * `-T OLDDIR=NEWDIR`: where the backup of a tablespace goes. A byte that is no part of valid UTF-8 is the lone surrogate
 * U+DC00 + byte.
 */
export interface TablespaceMapping {
  readonly from: string
  readonly to: string
}

/** In the place of bytes that are not UTF-8 Node has it, and not the bytes. */
const LOST = '\ufffd'

/**
 * Reads a tablespace mapping. An equals sign in a name is written `\=`, and a byte may be written `\xNN`, as messages show
 * those that are no text.
 *
 * @throws {@link PbManifestError} `USAGE`, in the words of pg_basebackup
 * @see src/bin/pg_basebackup/pg_basebackup.c (`tablespace_list_append`)
 */
export function parseTablespaceMapping(text: string): TablespaceMapping {
  const [from = '', to = '', ...more] = text.split(/(?<!\\)=/).map((part) => part.replaceAll('\\=', '='))
  if (more.length > 0) throw usage('multiple "=" signs in tablespace mapping')
  if (from === '' || to === '') {
    throw usage(`invalid tablespace mapping format "${text}", must be "OLDDIR=NEWDIR"`)
  }
  for (const [which, directory] of [
    ['old', from],
    ['new', to],
  ] as const) {
    if (!isAbsolute(directory)) {
      throw usage(`${which} directory is not an absolute path in tablespace mapping: ${directory}`)
    }
  }
  return { from: readDirectory(from), to: readDirectory(to) }
}

/** Where a tablespace goes: by the first mapping that names it; without one, where it is. */
export function mapTablespace(location: Pathname, mappings: readonly TablespaceMapping[]): Pathname {
  const canonical = canonicalPath(location)
  return mappings.find(({ from }) => from === canonical)?.to ?? canonical
}

function readDirectory(text: string): Pathname {
  if (text.includes(LOST)) {
    throw usage(
      `directory in tablespace mapping is not UTF-8: ${text}`,
      String.raw`Write each such byte as \xNN.`,
    )
  }
  const path = unescapePathname(text)
  if (path.includes('\0')) throw usage(`directory in tablespace mapping has a NUL: ${text}`)
  return canonicalPath(path)
}

function canonicalPath(path: Pathname): Pathname {
  return posix.normalize(path).replace(/(?<=.)\/$/, '')
}

function usage(message: string, hint?: string): PbManifestError {
  return new PbManifestError('USAGE', message, hint === undefined ? {} : { hint })
}
