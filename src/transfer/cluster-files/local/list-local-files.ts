import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import type { Yielder } from '../../../files/yielder.js'
import { decodePathname, displayPathname, type Pathname, pathOf } from '../../../files/pathname.js'
import { type DirectoryEntry, readDirectory } from '../../../files/read-directory.js'
import { ownPathname } from '../../../files/safe-pathname.js'
import { ioError, isNotThere } from '../../../files/system-error.js'
import { type ClusterLayout, directoriesMadeIn } from '../../../manifest/contents/select-entries.js'
import { walkBackup } from '../../../manifest/contents/walk-backup.js'
import { parsePositiveUnsignedInt32 } from '../../../postgres/unsigned-int.js'
import { parseWalFileName } from '../../../postgres/wal-segment.js'
import { parseWalSummaryName, type WalSummary } from '../../../postgres/wal-summary/summary-file.js'
import type { ClusterFile, ListFilesOptions, WalFile } from '../cluster-files.js'

/** Not those by which a program runs as somebody else: no backup needs them. */
const PERMISSIONS = 0o777

/**
 * What a base backup has of a tablespace, or of the data directory.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function listLocalFiles(
  directory: string,
  layout: ClusterLayout,
  tablespaceOid: number | undefined,
  yielder: Yielder,
  onSpecialFile?: ListFilesOptions['onSpecialFile'],
): Promise<ClusterFile[]> {
  const start = tablespaceOid === undefined ? '' : `pg_tblspc/${tablespaceOid}`
  const files: ClusterFile[] = []
  const walk = walkBackup({ directory, layout, start, filesOf: 'cluster' })
  for (const { pathname, kind } of walk) {
    if (yielder.isDue) await yielder.yield()
    if (kind === 'left-out') continue
    const stats = statIfThere(directory, pathname)
    if (stats === undefined) continue
    if (kind === 'special' || (kind === 'file' && !stats.isFile())) {
      onSpecialFile?.(pathname)
      continue
    }
    const file = fileOf(pathname, kind, stats)
    files.push(file)
    for (const made of directoriesMadeIn(pathname, layout))
      files.push({ ...file, pathname: ownPathname(made) })
  }
  return files
}

function fileOf(pathname: Pathname, kind: ClusterFile['kind'], stats: Stats): ClusterFile {
  return {
    pathname: ownPathname(pathname),
    kind,
    size: kind === 'file' ? stats.size : 0,
    modified: Math.floor(stats.mtimeMs / 1000),
    // Of a link that becomes a directory, they say nothing.
    mode: stats.isSymbolicLink() ? undefined : stats.mode & PERMISSIONS,
  }
}

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
  const tablespaces = readEntries(`${directory}/pg_tblspc`, true).flatMap(({ name, kind }) => {
    const oid = parsePositiveUnsignedInt32(name)
    // No server writes an OID with zeros before it: what stands there is somebody's own.
    if (oid === undefined || String(oid) !== name) return []
    if (kind !== 'symlink' && kind !== 'directory') return []
    // Without a link it is in place: a directory here, which servers have for their own tests.
    const location = kind === 'symlink' ? readLink(`${directory}/pg_tblspc/${name}`) : `pg_tblspc/${name}`
    return location === undefined ? [] : [{ oid, location }]
  })
  return [...tablespaces.toSorted((left, right) => left.oid - right.oid), { oid: undefined, location: '' }]
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

/**
 * The segments and timeline history files in pg_wal, by name.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function listLocalWalFiles(directory: string): WalFile[] {
  return readEntries(`${directory}/pg_wal`).flatMap((entry) => {
    const name = entry.kind === 'file' ? parseWalFileName(entry.name) : undefined
    const stats = name === undefined ? undefined : statIfThere(directory, `pg_wal/${name}`)
    return name === undefined || stats === undefined ? [] : [{ name, size: stats.size }]
  })
}

/** Where a server has its summaries of WAL. */
export const WAL_SUMMARIES = 'pg_wal/summaries'

/**
 * The summaries of WAL that there are.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function listLocalWalSummaries(directory: string): WalSummary[] {
  return readEntries(`${directory}/${WAL_SUMMARIES}`, true).flatMap(({ name, kind }) => {
    const summary = kind === 'file' ? parseWalSummaryName(name) : undefined
    return summary === undefined ? [] : [summary]
  })
}

function readEntries(path: string, mayBeAbsent = false): DirectoryEntry[] {
  try {
    return readDirectory(path)
  } catch (error) {
    if (mayBeAbsent && isNotThere(error)) return []
    throw ioError(`could not open directory "${path}"`, error)
  }
}

/** `undefined` when it was removed meanwhile. */
function statIfThere(directory: string, pathname: Pathname): Stats | undefined {
  try {
    return lstatSync(pathOf(directory, pathname))
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw ioError(`could not stat file "${displayPathname(pathname)}"`, error)
  }
}
