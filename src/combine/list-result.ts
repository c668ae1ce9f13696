import { type Dirent, opendirSync, readlinkSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { decodePathname, displayPathname, encodePathname, type Pathname, pathOf } from '../files/pathname.js'
import { type EntryKind, kindOf } from '../files/read-directory.js'
import { ioError } from '../files/system-error.js'
import type { Yielder } from '../files/yielder.js'
import { isAboutBackup } from '../manifest/contents/made-by-backup.js'
import { BACKUP_LABEL } from '../postgres/data-directory.js'
import { parsePositiveUnsignedInt32 } from '../postgres/unsigned-int.js'

/** A tablespace of the last backup. */
interface BackedUpTablespace {
  readonly oid: number
  /** Where its link leads; `undefined`: it is a directory in pg_tblspc. */
  readonly location: Pathname | undefined
}

/** What the result is made of, by the last backup. Pathnames are relative. */
export interface ResultListing {
  /** In an order in which they can be made. */
  readonly directories: readonly Pathname[]
  /** By their names in the last backup, in the order of the new manifest. */
  readonly files: readonly Pathname[]
  readonly tablespaces: readonly BackedUpTablespace[]
  readonly warnings: readonly string[]
}

/** What becomes of an entry of the last backup. */
export type EntryUse =
  | 'file'
  | 'directory'
  /** Its files come after all others. */
  | 'tablespace'
  /** It is made anew, or concerns the last backup only. */
  | 'left out'
  /** Neither file nor directory: told, and left out. */
  | 'skipped'

/**
 * Decides what becomes of an entry.
 *
 * A link is none of the backup, but one to pg_wal is taken for what it leads to: without that directory, no server starts.
 *
 * @param parent - the directory's pathname, `''` for the data directory itself
 * @see src/bin/pg_combinebackup/pg_combinebackup.c (`process_directory_recursively`)
 */
export function useOfEntry(parent: Pathname, name: Pathname, kind: EntryKind): EntryUse {
  if (parent === '' && (name === BACKUP_LABEL || isAboutBackup(name)) && kind !== 'directory')
    return 'left out'
  if (parent === 'pg_tblspc' && parsePositiveUnsignedInt32(name) !== undefined) {
    if (kind === 'directory' || kind === 'symlink') return 'tablespace'
  }
  if (parent === '' && name === 'pg_wal' && kind === 'symlink') return 'directory'
  if (kind === 'file' || kind === 'directory') return kind
  return 'skipped'
}

/**
 * Lists the last backup in the order of its directories on disk, as pg_combinebackup does.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function listResult(directory: string, yielder: Yielder): Promise<ResultListing> {
  const directories: Pathname[] = []
  const files: Pathname[] = []
  const tablespaces: BackedUpTablespace[] = []
  const warnings: string[] = []
  const walk = async (parent: Pathname): Promise<void> => {
    for (const { name, kind } of entriesOf(directory, parent)) {
      const pathname = parent === '' ? name : `${parent}/${name}`
      switch (useOfEntry(parent, name, kind)) {
        case 'file':
          files.push(pathname)
          break
        case 'directory':
          directories.push(pathname)
          await walk(pathname)
          break
        case 'tablespace':
          tablespaces.unshift(describeTablespace(directory, pathname, kind))
          break
        case 'skipped':
          warnings.push(
            `skipping ${kind === 'symlink' ? 'symbolic link' : 'special file'} "${displayPathname(`${directory}/${pathname}`)}"`,
          )
          break
        case 'left out':
          break
        default:
          throw new Error('an entry without a use')
      }
      if (yielder.isDue) await yielder.yield()
    }
  }
  await walk('')
  for (const { oid, location } of tablespaces) {
    const pathname = `pg_tblspc/${oid}`
    if (location === undefined) directories.push(pathname)
    await walk(pathname)
  }
  return { directories, files, tablespaces, warnings }
}

/** In the order in which the system gives them. */
function entriesOf(
  directory: string,
  parent: Pathname,
): { readonly name: Pathname; readonly kind: EntryKind }[] {
  const path = parent === '' ? directory : pathOf(directory, parent)
  try {
    const opened = opendirSync(path, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 })
    try {
      const entries: { readonly name: Pathname; readonly kind: EntryKind }[] = []
      for (let entry = opened.readSync(); entry !== null; entry = opened.readSync()) {
        const { name } = entry as unknown as Dirent<Buffer>
        entries.push({ name: decodePathname(name), kind: kindOf(entry) })
      }
      return entries
    } finally {
      opened.closeSync()
    }
  } catch (error) {
    throw ioError(
      `could not open directory "${displayPathname(parent === '' ? directory : `${directory}/${parent}`)}"`,
      error,
    )
  }
}

function describeTablespace(directory: string, pathname: Pathname, kind: EntryKind): BackedUpTablespace {
  const oid = Number(pathname.slice('pg_tblspc/'.length))
  if (kind === 'directory') return { oid, location: undefined }
  const shown = displayPathname(`${directory}/${pathname}`)
  let target: Buffer
  try {
    target = readlinkSync(pathOf(directory, pathname), 'buffer')
  } catch (error) {
    throw ioError(`could not read symbolic link "${shown}"`, error)
  }
  if (target[0] !== encodePathname('/')[0]) {
    throw new PbManifestError('IO', `target of symbolic link "${shown}" is relative`)
  }
  return { oid, location: decodePathname(target) }
}
