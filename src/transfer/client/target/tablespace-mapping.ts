import { isAbsolute, posix } from 'node:path'
import { PbManifestError } from '../../../errors.js'

/** `-T OLDDIR=NEWDIR`: where the backup of a tablespace goes. */
export interface TablespaceMapping {
  readonly from: string
  readonly to: string
}

/**
 * Reads a tablespace mapping. An equals sign in a name is written `\=`.
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
  return { from: canonicalPath(from), to: canonicalPath(to) }
}

/** Where a tablespace goes: by the first mapping that names it; without one, where it is. */
export function mapTablespace(location: string, mappings: readonly TablespaceMapping[]): string {
  const canonical = canonicalPath(location)
  return mappings.find(({ from }) => from === canonical)?.to ?? canonical
}

function canonicalPath(path: string): string {
  return posix.normalize(path).replace(/(?<=.)\/$/, '')
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}
