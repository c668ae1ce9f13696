import { existsSync, mkdirSync, statSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { displayPathname, pathTo } from '../files/pathname.js'
import { ioError, isNotThere } from '../files/system-error.js'
import { UNFINISHED_MANIFEST, UNFINISHED_MARK } from '../manifest/contents/made-by-backup.js'
import { parseMajorVersion } from '../manifest/data-directory-files.js'
import { filesWrittenLater } from '../verify/ignore-rules.js'
import { DurableFile } from '../files/durable-file.js'
import type { WalRange } from '../manifest/model.js'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { TABLESPACE_MAP } from '../postgres/data-directory.js'
import { type SourceFile, SourceReadError } from '../source/backup-source.js'
import type { RepairOptions, StatedLink } from '../repair/options.js'
import { refuseCluster, repairFromCopy } from '../repair/repair-backup.js'
import { RepairCopy } from '../repair/repair-copy.js'
import type { RepairReport } from '../repair/report.js'
import { mapTablespace } from '../target/tablespace-mapping.js'
import { openBackup, type OpenedBackup } from './open-backup.js'
import type { RestoreOptions, RestoreSource } from './options.js'
import type { RestoreReport } from './report.js'
import { makeDirectories, unlistedFiles } from './restore-files.js'
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
  const backup = await openBackup(from, { ...options, signal })
  const directory = resolve(options.directory)
  refuseCluster(directory)
  await requireSameBackup(directory, backup, signal)
  // Until it was finished, a file may be there whose end was not written.
  const isUnfinished = existsSync(join(directory, UNFINISHED_MARK))
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
  const { jobs, noParseWal, onProgress, onRetry } = options
  const repair: RepairOptions = {
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
    ...(onRetry && { onRetry }),
  }
  const copy = await RepairCopy.open(repair, backup.listed)
  const report = await repairFromCopy(copy, directory, repair)
  requireWhole(report)
  makeDirectories({ backup, directory })
  const taken = await takeUnlisted(backup, directory, isUnfinished)
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
    unlistedFiles: taken + report.items.filter(({ what }) => what === 'wal-segment').length,
    manifest: { checksum, isRewritten: leavesMapOut },
    walRecords: 0,
    notChecked: report.notChecked.filter(({ what }) => what !== 'ignored-paths'),
  }
}

/**
 * What is gone on with is this backup, as far as its manifest says; one that cannot be read says nothing, and is replaced.
 *
 * @throws {@link PbManifestError} `IO`
 */
async function requireSameBackup(
  directory: string,
  { manifest }: OpenedBackup,
  signal: AbortSignal,
): Promise<void> {
  const path = join(directory, 'backup_manifest')
  if (!existsSync(path)) return
  const walRanges: WalRange[] = []
  const handler = { file: () => {}, walRange: (range: WalRange) => void walRanges.push(range) }
  let systemIdentifier: bigint | undefined
  try {
    ;({ systemIdentifier } = await scanManifest(await openManifest(path), handler, { signal }))
  } catch (error) {
    if (!isPbManifestError(error) || error.code === 'ABORTED') throw error
    return
  }
  const isSameCluster =
    systemIdentifier === undefined ||
    manifest.summary.systemIdentifier === undefined ||
    systemIdentifier === manifest.summary.systemIdentifier
  if (isSameCluster && isDeepStrictEqual(walRanges, manifest.walRanges)) return
  const of = isSameCluster ? 'another backup' : 'a backup of another cluster'
  throw new PbManifestError('IO', `"${displayPathname(directory)}" holds ${of}, by its backup_manifest`, {
    hint: 'Restore into a directory that is empty, or is not there.',
  })
}

/**
 * Settings, signals, WAL and what belongs to it, which no verification demands.
 *
 * @returns how many files were written
 */
async function takeUnlisted(
  { source, hasGroupAccess }: OpenedBackup,
  directory: string,
  isUnfinished: boolean,
): Promise<number> {
  let count = 0
  try {
    for (const lane of source.lanes(filesWrittenLater, 1, unlistedFiles)) {
      for await (const file of lane) {
        if (file.type === 'absent') continue
        const { pathname } = file
        if (file.type === 'unreadable') {
          throw new PbManifestError('IO', `could not read file "${pathname}" of the backup: ${file.message}`)
        }
        const path = join(directory, pathname)
        if (isWhole(path, file, isUnfinished)) continue
        const written = await DurableFile.create(path, hasGroupAccess ? 0o640 : 0o600)
        try {
          for await (const chunk of file.chunks()) await written.write(chunk)
          await written.commit()
        } catch (error) {
          await written.discard()
          throw error
        }
        count++
      }
    }
  } catch (error) {
    throw error instanceof SourceReadError
      ? new PbManifestError('IO', `could not read ${error.message}`, { cause: error })
      : error
  }
  return count
}

/** Whether a file is there, and was written to its end. */
function isWhole(
  path: string,
  { pathname, size }: SourceFile & { readonly type: 'file' },
  isUnfinished: boolean,
): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined || !isUnfinished) return stats !== undefined
  // What is small is written anew; of WAL, each record has a checksum.
  return stats.size === size && /^pg_wal\/[0-9A-F]{24}$/.test(pathname)
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
