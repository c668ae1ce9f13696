import { PbManifestError } from '../../../errors.js'
import { comparePathnames, decodePathname, displayPathname, type Pathname } from '../../../files/pathname.js'
import { ownPathname, requireSafeChild, type SafePathname } from '../../../files/safe-pathname.js'
import {
  type ClusterLayout,
  directoriesMadeIn,
  entrySelector,
} from '../../../manifest/contents/select-entries.js'
import { isLeftOutOfBaseBackup } from '../../../postgres/data-directory.js'
import { isNameOfPostgres } from '../../../postgres/data-directory.js'
import { KeptRows } from '../../connection/kept-rows.js'
import type { ClusterFile } from '../cluster-files.js'
import { isMadeByBackup } from '../../../manifest/contents/made-by-backup.js'
import { copiedRows, readBoolean, readInt8 } from './copied-rows.js'
import { pathArray } from './path-expressions.js'
import type { SqlConnection } from './sql-connection.js'

/** How many directories one query lists. */
const DIRECTORIES_AT_ONCE = 1000

/** PostgreSQL's own directories are four deep. A link to a directory above itself has no other end. */
const DEEPEST = 20

/** What the server says of one name in a directory. */
export interface StatedEntry {
  readonly name: Pathname
  /** Of what a link leads to. `undefined`: it was gone before it could be looked at. */
  readonly isDirectory: boolean | undefined
  readonly size: number
  readonly modified: number
}

/** Says what is in each of some directories; nothing of one that is gone. */
export type ListDirectories = (directories: readonly Pathname[]) => Promise<readonly StatedEntry[][]>

/**
 * Lists what a base backup has of a directory and all below it: one query for each level of directories.
 *
 * @param root - `''`, or `pg_tblspc/OID`; not listed itself
 * @param leftOut - what is left out with all that is below it
 * @returns directories before what is in them
 * @throws {@link PbManifestError} `SERVER`, also for a name that no directory can hold
 */
export async function listFilesBelow(
  listDirectories: ListDirectories,
  root: SafePathname | '',
  layout: ClusterLayout,
  leftOut: ReadonlySet<Pathname> = new Set(),
): Promise<readonly ClusterFile[]> {
  const files: ClusterFile[] = []
  let level: readonly (SafePathname | '')[] = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) throw tooDeep(level[0] ?? root)
    const next: SafePathname[] = []
    for (let at = 0; at < level.length; at += DIRECTORIES_AT_ONCE) {
      const directories = level.slice(at, at + DIRECTORIES_AT_ONCE)
      const listings = await listDirectories(directories)
      for (const [place, listed] of listings.entries()) {
        const parent = directories[place] ?? ''
        const wanted = listed.filter(({ name }) => !leftOut.has(parent === '' ? name : `${parent}/${name}`))
        for (const { file, isFull } of selectFiles(parent, wanted, layout)) {
          files.push(file)
          if (isFull) next.push(file.pathname)
          for (const made of isFull ? [] : directoriesMadeIn(file.pathname, layout))
            files.push({ ...file, pathname: ownPathname(made) })
        }
      }
    }
    level = next
  }
  return files.toSorted((left, right) => comparePathnames(left.pathname, right.pathname))
}

/** What a backup has of one directory, and whether it has what is in that as well. */
function* selectFiles(
  parent: SafePathname | '',
  listed: readonly StatedEntry[],
  layout: ClusterLayout,
): Generator<{ readonly file: ClusterFile; readonly isFull: boolean }> {
  const names = listed.map((entry) => entry.name)
  const select = entrySelector(parent, names, layout, 'cluster')
  for (const { name, isDirectory, size, modified } of listed) {
    const pathname = requireSafeChild(parent, name, badName)
    if (isDirectory === undefined) continue
    const selection = select({ name, kind: isDirectory ? 'directory' : 'file' })
    if (selection === 'file') yield { file: { pathname, kind: 'file', size, modified }, isFull: false }
    if (selection !== 'directory' && selection !== 'empty directory') continue
    yield { file: { pathname, kind: 'directory', size: 0, modified }, isFull: selection === 'directory' }
  }
}

/**
 * The names at the top of the data directory that are not PostgreSQL's own: only these may be links or special files that a
 * backup can do without.
 */
export async function listForeignNames(connection: SqlConnection): Promise<readonly Pathname[]> {
  const names: Pathname[] = []
  const query = `SELECT name FROM pg_catalog.pg_ls_dir('.', true, false) AS name`
  const kept = new KeptRows()
  for await (const { value } of copiedRows(connection, query, 1)) {
    kept.add()
    const name = decodePathname(value)
    if (!isNameOfPostgres(name) && !isLeftOutOfBaseBackup(name) && !isMadeByBackup(name)) names.push(name)
  }
  return names.toSorted(comparePathnames)
}

/** Lists directories by the functions of the server. */
export function directoryLister(connection: SqlConnection): ListDirectories {
  return async (directories) => {
    const listings: StatedEntry[][] = directories.map(() => [])
    const query = `
    SELECT place, size, pg_catalog.date_part('epoch', modification)::bigint, isdir, name
      FROM pg_catalog.unnest(${pathArray(directories)}) WITH ORDINALITY AS directory (path, place),
           LATERAL pg_catalog.pg_ls_dir(path, true, false) AS name,
           LATERAL pg_catalog.pg_stat_file(path || '/' || name, true) AS status`
    const kept = new KeptRows()
    for await (const { fields, value } of copiedRows(connection, query, 5)) {
      kept.add()
      const [place, size, modified, isDirectory] = fields
      listings[(readInt8(place) ?? 0) - 1]?.push({
        name: decodePathname(value),
        isDirectory: readBoolean(isDirectory),
        size: Math.max(readInt8(size) ?? 0, 0),
        modified: readInt8(modified) ?? 0,
      })
    }
    return listings
  }
}

function tooDeep(directory: Pathname): PbManifestError {
  return new PbManifestError('SERVER', `directories are nested too deep: "${displayPathname(directory)}"`, {
    hint: 'Look for a symbolic link in the data directory that leads to a directory above itself.',
  })
}

function badName(message: string): PbManifestError {
  return new PbManifestError('SERVER', `the server lists what cannot be a file of a backup: ${message}`)
}
