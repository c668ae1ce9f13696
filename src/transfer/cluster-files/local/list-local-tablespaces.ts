import { readlinkSync } from 'node:fs'
import { decodePathname } from '../../../files/pathname.js'
import { type DirectoryEntry, readDirectory } from '../../../files/read-directory.js'
import { ioError, isNotThere } from '../../../files/system-error.js'
import { parsePositiveUnsignedInt32 } from '../../../postgres/unsigned-int.js'

export interface LocalTablespace {
  readonly oid: number | undefined
  readonly location: string
}

/**
 * The cluster's tablespaces by their OIDs, the data directory last.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function listLocalTablespaces(directory: string): LocalTablespace[] {
  const tablespaces = readLinks(directory).flatMap(({ name, kind }) => {
    const oid = parsePositiveUnsignedInt32(name)
    if (oid === undefined || (kind !== 'symlink' && kind !== 'directory')) return []
    // Without a link it is in place: a directory here, which servers have for their own tests.
    const location = kind === 'symlink' ? readLink(`${directory}/pg_tblspc/${name}`) : `pg_tblspc/${name}`
    return location === undefined ? [] : [{ oid, location }]
  })
  return [...tablespaces.toSorted((left, right) => left.oid - right.oid), { oid: undefined, location: '' }]
}

function readLinks(directory: string): DirectoryEntry[] {
  try {
    return readDirectory(`${directory}/pg_tblspc`)
  } catch (error) {
    if (isNotThere(error)) return []
    throw ioError(`could not open directory "${directory}/pg_tblspc"`, error)
  }
}

/** `undefined` when the tablespace was dropped meanwhile. */
function readLink(path: string): string | undefined {
  try {
    return decodePathname(readlinkSync(path, { encoding: 'buffer' }))
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw ioError(`could not read symbolic link "${path}"`, error)
  }
}
