import { existsSync, mkdirSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PbManifestError } from '../errors.js'
import { displayPathname, pathTo } from '../files/pathname.js'
import { ioError, isNotThere } from '../files/system-error.js'
import { UNFINISHED_MANIFEST, UNFINISHED_MARK } from '../manifest/contents/made-by-backup.js'
import { parseMajorVersion } from '../manifest/data-directory-files.js'
import { filesWrittenLater } from '../verify/ignore-rules.js'
import { writeNewFile } from '../files/durable-file.js'
import { TABLESPACE_MAP } from '../postgres/data-directory.js'
import type { StatedLink } from '../repair/options.js'
import { repairBackup } from '../repair/repair-backup.js'
import type { RepairReport } from '../repair/report.js'
import { mapTablespace } from '../target/tablespace-mapping.js'
import { openBackup, type OpenedBackup } from './open-backup.js'
import type { RestoreOptions, RestoreSource } from './options.js'
import type { RestoreReport } from './report.js'
import { makeDirectories } from './restore-files.js'
import { nameManifest, writeManifest } from './restored-manifest.js'

const MOST_DETAILS = 20

/** What of a report is known here. */
type Restored = Omit<RestoreReport, 'seconds' | 'host' | 'pbmanifestVersion' | 'startedAt' | 'endedAt'>

/**
 * Goes on with a restore that was ended: what is there already and right stays, all else is written, by the engine of a repair.
 *
 * @throws {@link PbManifestError} also when something is wrong in the end; what was written stays
 */
export async function restoreMissing(
  from: RestoreSource,
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<Restored> {
  if ('address' in from) {
    throw new PbManifestError('USAGE', 'a restore from an object store cannot be gone on with', {
      hint: 'Restore it anew, or from a directory or by a fetch command.',
    })
  }
  const backup = await openBackup(from, { ...options, signal })
  const directory = resolve(options.directory)
  const links = placeLinks(backup, options)
  const leavesMapOut =
    backup.manifest.table.find(TABLESPACE_MAP) !== -1 && links.some(({ isMoved }) => isMoved)
  const ownFiles = [UNFINISHED_MARK, UNFINISHED_MANIFEST]
  for (const { pathname, directory: place } of links) {
    ownFiles.push(`${pathname}/${UNFINISHED_MARK}`)
    makePlace(place, backup.hasGroupAccess)
  }
  const majorVersion = leavesMapOut ? await majorVersionOf(backup) : undefined
  const change = { leavesMapOut, algorithm: undefined, newChecksums: new Map(), majorVersion }
  await remove(join(directory, UNFINISHED_MANIFEST))
  const checksum = await writeManifest(backup, directory, change, { sync: true, signal })
  const { jobs, noParseWal, onProgress } = options
  const report = await repairBackup(directory, {
    from: 'directory' in from ? from.directory : from,
    manifestPath: join(directory, UNFINISHED_MANIFEST),
    write: true,
    isSameBackup: options.manifestPath === undefined,
    // Where the manifest has none, size is all that there is.
    trustSize: true,
    links,
    ignore: ownFiles,
    signal,
    ...(jobs !== undefined && { jobs }),
    ...(noParseWal !== undefined && { noParseWal }),
    ...(onProgress && { onProgress }),
  })
  requireWhole(report)
  makeDirectories({ backup, directory })
  await takeUnlisted(backup, directory)
  for (const name of [UNFINISHED_MARK, ...links.map(({ pathname }) => `${pathname}/${UNFINISHED_MARK}`)]) {
    await remove(join(directory, name))
  }
  await nameManifest(directory, true)
  const files = report.items.filter(({ what }) => what === 'file').length
  return {
    reportVersion: 1,
    source: backup.shown,
    directory,
    tablespaces: links.map(({ oid, location, directory: place }) => ({
      oid,
      location: displayPathname(location),
      directory: displayPathname(place),
    })),
    files,
    bytes: report.bytesWritten,
    unlistedFiles: report.items.filter(({ what }) => what === 'wal-segment').length,
    manifest: { checksum, isRewritten: leavesMapOut },
    walRecords: 0,
    notChecked: report.notChecked.filter(({ what }) => what !== 'ignored-paths'),
  }
}

/** Settings and signals, which no verification demands. */
async function takeUnlisted({ source, hasGroupAccess }: OpenedBackup, directory: string): Promise<void> {
  const wanted = filesWrittenLater.filter((name) => !existsSync(join(directory, name)))
  if (wanted.length === 0) return
  for await (const file of source.files(wanted)) {
    if (file.type === 'absent') continue
    if (file.type === 'unreadable') {
      throw new PbManifestError('IO', `could not read file "${file.pathname}" of the backup: ${file.message}`)
    }
    const mode = hasGroupAccess ? 0o640 : 0o600
    await writeNewFile(join(directory, file.pathname), file.chunks(), { mode, sync: true })
  }
}

interface PlacedLink extends StatedLink {
  readonly oid: number
  readonly location: string
  readonly isMoved: boolean
}

function placeLinks(
  { tablespaces }: OpenedBackup,
  { tablespaceMappings = [] }: RestoreOptions,
): PlacedLink[] {
  return tablespaces.flatMap(({ oid, location }) => {
    const pathname = `pg_tblspc/${oid}`
    if (oid === undefined || location === pathname) return []
    const directory = mapTablespace(location, tablespaceMappings)
    return [{ oid, location, pathname, directory, isMoved: directory !== mapTablespace(location, []) }]
  })
}

function makePlace(place: string, hasGroupAccess: boolean): void {
  if (existsSync(pathTo(place))) return
  try {
    mkdirSync(pathTo(place), { recursive: true, mode: hasGroupAccess ? 0o750 : 0o700 })
  } catch (error) {
    throw ioError(`could not create directory "${displayPathname(place)}"`, error)
  }
}

/** By which a server writes the LSNs of a manifest. */
async function majorVersionOf({ source }: OpenedBackup): Promise<number | undefined> {
  for await (const file of source.files(['PG_VERSION'])) {
    if (file.type !== 'file' || file.size > 1024) break
    const parts: Buffer[] = []
    for await (const chunk of file.chunks()) parts.push(Buffer.from(chunk))
    return parseMajorVersion(Buffer.concat(parts))
  }
  return undefined
}

function requireWhole({ verdict, items, problems }: RepairReport): void {
  if (verdict === 'verified') return
  const reasons = items.flatMap(({ reason }) => reason?.message ?? [])
  const messages = problems.map(({ message }) => message)
  throw new PbManifestError('IO', 'what was restored does not verify', {
    details: [...new Set([...reasons, ...messages])].slice(0, MOST_DETAILS),
  })
}

async function remove(path: string): Promise<void> {
  try {
    await unlink(pathTo(path))
  } catch (error) {
    if (!isNotThere(error)) throw ioError(`could not remove file "${displayPathname(path)}"`, error)
  }
}
