import { existsSync } from 'node:fs'
import { realPath } from '../signature/signature-place.js'
import { isPbManifestError } from '../errors.js'
import { displayPathname, encodePathname, type Pathname } from '../files/pathname.js'
import { readFileEnd } from '../files/read-small-file.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import { parseWalSegmentName, segmentHoldingEnd, segmentHoldingStart } from '../postgres/wal-segment.js'
import { filesWrittenLater } from './ignore-rules.js'
import type { NotChecked, Warning } from './report.js'
import type { VerifiedBackup } from './verified-backup.js'
import type { VerifyContext } from './verify-context.js'

/** A longer one is not looked at. */
const MAX_BYTES = 1024 * 1024

/** So many are named of one kind. */
const MAX_NAMED = 100

/** What the rules leave out, and what to say of it. */
export interface LeftOutContext extends Pick<
  VerifyContext,
  'options' | 'manifest' | 'ignore' | 'warnings' | 'notChecked' | 'yielder'
> {
  readonly backup: Pick<VerifiedBackup, 'readSmallFile' | 'listWal'>
  /** The backup directory; `undefined`: it is an archive that comes in alone. */
  readonly directory: string | undefined
  /** Whether a file that was not seen is not there. */
  readonly isWhole: boolean
  /** Bytes of a WAL segment; `undefined` when nobody knows. */
  readonly segmentSize: number | undefined
}

/**
 * Looks at what is never compared with the manifest, and so never a problem: names it, and warns of what is not what the
 * manifest says, or should not be there.
 */
export async function checkLeftOutFiles(context: LeftOutContext): Promise<void> {
  await checkFilesWrittenLater(context)
  await checkOtherWalFiles(context)
  checkOtherManifest(context)
  await nameFilesWithoutChecksum(context)
}

/** Files that may be written into a good backup after its manifest, as `pg_basebackup -R` does. */
async function checkFilesWrittenLater(context: LeftOutContext): Promise<void> {
  const { manifest, ignore, warnings, notChecked } = context
  const met: Pathname[] = []
  for (const name of filesWrittenLater) {
    if (ignore.coversOnRequest(name)) continue
    const bytes = readOrNothing(context, name)
    if (manifest.table.find(name) !== -1) await warnOfChange(context, name, bytes)
    else if (bytes === undefined) continue
    else warnings.push(warningOf('added-later', name, 'is present on disk but not in the manifest'))
    met.push(name)
  }
  if (met.length === 0) return
  const why = `${met.map((name) => `"${name}"`).join(' and ')} may be written after the manifest, and only warned of`
  notChecked.push({ what: 'files-written-later', why, ...named(met) })
}

/**
 * Files in pg_wal but those that are read for the WAL ranges: the manifest does not count for them, and a server that recovers
 * from the backup sees them.
 */
async function checkOtherWalFiles(context: LeftOutContext): Promise<void> {
  const { backup, ignore, notChecked, warnings } = context
  if (ignore.coversOnRequest('pg_wal')) return
  const listed = await listedBelowWal(context)
  const others = new Set<Pathname>()
  for (const pathname of listed) {
    const isSame =
      pathname.endsWith('.history') &&
      (await warnOfChange(context, pathname, readOrNothing(context, pathname)))
    if (!isSame) others.add(pathname)
  }
  for (const name of backup.listWal()) {
    const pathname = `pg_wal/${name}`
    if (ofServer.directories.test(name) || listed.has(pathname)) continue
    if (!ofServer.files.test(name)) {
      warnings.push(warningOf('added-later', pathname, 'is present on disk but not in the manifest'))
    }
    others.add(pathname)
  }
  const isRead = segmentsThatAreRead(context)
  const left = [...others].filter((pathname) => !isRead(pathname) && !ignore.coversOnRequest(pathname))
  if (left.length === 0) return
  const why = 'no WAL range of the manifest needs them, but a server that recovers from the backup sees them'
  notChecked.push({ what: 'other-wal-files', why, ...named(left.toSorted()) })
}

/** What a server has in pg_wal besides segments that are needed; `archive_status` says what the archiver has done. */
const ofServer = {
  directories: /^(?:archive_status|summaries)$/,
  files: /^[0-9A-F]{24}(?:\.partial|\.[0-9A-F]{8}\.backup)?$|^[0-9A-F]{8}\.history$/,
}

/** Files that the manifest has in pg_wal itself. */
async function listedBelowWal({ manifest, yielder }: LeftOutContext): Promise<Set<Pathname>> {
  const { table } = manifest
  const beginning = [encodePathname('pg_wal/')]
  const listed = new Set<Pathname>()
  for (let row = 0; row < table.rows; row++) {
    if (yielder.isDue) await yielder.yield()
    if (!table.beginsWithOne(row, beginning)) continue
    const pathname = table.pathname(row)
    if (!pathname.startsWith('pg_wal/archive_status/')) listed.add(pathname)
  }
  return listed
}

/** Tells segments whose records are read, or of which another entry says that they are not, from other files in pg_wal. */
function segmentsThatAreRead({
  options,
  manifest,
  segmentSize,
  directory,
}: LeftOutContext): (pathname: Pathname) => boolean {
  const { noParseWal, walDirectory, partialWal } = options
  const isElsewhere = walDirectory !== undefined && realPath(walDirectory) !== realPath(`${directory}/pg_wal`)
  const pattern = partialWal === true ? /^pg_wal\/([0-9A-F]{24})(?:\.partial)?$/ : /^pg_wal\/([0-9A-F]{24})$/
  return (pathname) => {
    const name = pattern.exec(pathname)?.[1]
    if (name === undefined) return false
    if (noParseWal === true || segmentSize === undefined) return true
    const segment = isElsewhere ? undefined : parseWalSegmentName(name, segmentSize)
    return manifest.walRanges.some(
      ({ timeline, startLsn, endLsn }) =>
        segment?.timeline === timeline &&
        segment.segmentNumber >= segmentHoldingStart(startLsn, segmentSize) &&
        segment.segmentNumber <= segmentHoldingEnd(endLsn, segmentSize),
    )
  }
}

/** More than the last line of a manifest can have. */
const MANIFEST_END_BYTES = 1024

/** A manifest in the backup that is not the one it was verified against: of an earlier backup, or changed since. */
function checkOtherManifest({ directory, manifest, ignore, warnings, notChecked }: LeftOutContext): void {
  if (directory === undefined || ignore.coversOnRequest('backup_manifest')) return
  const path = `${directory}/backup_manifest`
  if (!existsSync(path) || realPath(path) === realPath(manifest.path)) return
  let end: Buffer | undefined
  try {
    end = readFileEnd(path, MANIFEST_END_BYTES)
  } catch (error) {
    if (!isPbManifestError(error)) throw error
  }
  const checksum = /"Manifest-Checksum"\s*:\s*"([0-9a-f]{64})"/.exec(end?.toString('latin1') ?? '')?.[1]
  if (checksum === manifest.summary.checksum) return
  const what = 'is not the manifest that the backup was verified against'
  warnings.push(warningOf('other-manifest', 'backup_manifest', what))
  notChecked.push({ what: 'other-manifest', why: `"backup_manifest" ${what}`, ...named(['backup_manifest']) })
}

/** Of these, only presence and size were compared. */
async function nameFilesWithoutChecksum({ manifest, notChecked, yielder }: LeftOutContext): Promise<void> {
  const place = notChecked.findIndex(({ what }) => what === 'files-without-checksum')
  const entry = notChecked[place]
  if (entry === undefined) return
  const { table, filesWithoutChecksum } = manifest
  const names: Pathname[] = []
  for (let row = 0; row < table.rows && names.length < MAX_NAMED; row++) {
    if (yielder.isDue) await yielder.yield()
    if (table.algorithm(row) === undefined) names.push(table.pathname(row))
  }
  notChecked[place] = { ...entry, ...named(names), count: filesWithoutChecksum }
}

/**
 * Warns of a file of the manifest that is not what the manifest says.
 *
 * @returns whether it is
 */
async function warnOfChange(
  { manifest, warnings, isWhole }: LeftOutContext,
  name: Pathname,
  bytes: Buffer | 'unreadable' | undefined,
): Promise<boolean> {
  const { table } = manifest
  const row = table.find(name)
  if (bytes === undefined) {
    if (isWhole) warnings.push(warningOf('removed-later', name, 'is present in the manifest but not on disk'))
    return false
  }
  if (bytes === 'unreadable') {
    warnings.push(warningOf('changed-later', name, 'could not be compared with the manifest'))
    return false
  }
  const algorithm = table.algorithm(row)
  const hasher = algorithm && (await createFileHasher(algorithm, 'unknown'))
  hasher?.reset()
  hasher?.update(bytes)
  const isSame =
    bytes.length === table.size(row) && (hasher === undefined || hasher.digest() === table.checksum(row))
  if (!isSame) warnings.push(warningOf('changed-later', name, 'is not what the manifest says'))
  return isSame
}

function readOrNothing({ backup }: LeftOutContext, name: Pathname): Buffer | 'unreadable' | undefined {
  try {
    return backup.readSmallFile(name, MAX_BYTES)
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return 'unreadable'
  }
}

function named(pathnames: readonly Pathname[]): Required<Pick<NotChecked, 'paths' | 'count'>> {
  return { paths: pathnames.slice(0, MAX_NAMED).map(displayPathname), count: pathnames.length }
}

function warningOf(kind: Warning['kind'], pathname: Pathname, what: string): Warning {
  const name = displayPathname(pathname)
  return { kind, path: name, message: `"${name}" ${what}` }
}
