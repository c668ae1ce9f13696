import { existsSync, lstatSync, opendirSync, realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { PbManifestError } from '../errors.js'
import type { Pathname } from '../files/pathname.js'
import { requireSmallFile } from '../files/read-small-file.js'
import { ioError } from '../files/system-error.js'
import { Yielder } from '../files/yielder.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { readClusterLayout } from '../manifest/contents/walk-backup.js'
import { readBackupLabel, readControlFile, readMajorVersion } from '../manifest/data-directory-files.js'
import { visitBackupFiles } from '../manifest/fragment/fragment-files.js'
import { mergeFragments } from '../manifest/merge/merge-fragments.js'
import type { MergeResult } from '../manifest/merge/merge-options.js'
import type { WalRange } from '../manifest/model.js'
import type { BackupPositions } from '../manifest/wal-ranges.js'
import type { ControlFile } from '../postgres/control-file.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import { findVersion } from '../postgres/versions.js'
import { timelineHistoryFileName } from '../postgres/timeline-history.js'
import { listWalSegments, walDirectoriesOf } from '../verify/wal/file-wal-source.js'
import { isWalArchive, openWalArchive } from '../verify/tar/open-wal-path.js'
import type { OpenedWal } from '../verify/wal/wal-source.js'
import {
  cannotCreate,
  type EndFoundBy,
  findPositions,
  type FoundPositions,
  HOW_TO_COPY,
  requireRest,
} from './find-positions.js'
import { PlannedFiles } from './planned-files.js'
import { recordFiles } from './record-files.js'
import { findRunningServer, findSharedTablespace } from './running-server.js'

const CONTROL_FILE_BYTES = 64 * 1024

/** Of which directory a manifest is made, and what is known of the backup in it. */
export interface CreateManifestOptions extends Partial<BackupPositions> {
  /** A data directory at rest: a copy of one, or that of a stopped server. */
  readonly directory: string
  /** The manifest to write; it appears whole or not at all. Default: `backup_manifest` in the directory. */
  readonly output?: string
  /** Replace a file of that name. Default false. */
  readonly overwrite?: boolean
  /** The directory is as it was at one moment, as file systems make snapshots of a running cluster. Default false. */
  readonly isSnapshot?: boolean
  /** A directory or tar archive with the WAL that the backup needs. Default: `pg_wal` in the directory. */
  readonly walPath?: string
  /** The WAL ranges outright, newest timeline first. Default: worked out from where the backup begins and ends. */
  readonly walRanges?: readonly WalRange[]
  /** Where timeline history files are. Default: where the WAL is, or `pg_wal` if that is an archive. */
  readonly historyDirectory?: string
  /** Default CRC32C. */
  readonly checksumAlgorithm?: ChecksumAlgorithm
  /** How many threads read files. Default: as many as there are processors. */
  readonly jobs?: number
  /** Is told how many bytes were read, several times a second. */
  readonly onProgress?: (progress: { readonly bytesDone: number; readonly bytesTotal: number }) => void
  readonly signal?: AbortSignal
}

/** What was written. */
export interface CreateManifestResult extends MergeResult {
  /** The manifest's file. */
  readonly output: string
  /** What told where the backup ends. */
  readonly endFoundBy: EndFoundBy
  /** Files that are listed because they are there, though no server's own backup has them. */
  readonly unusualFiles: readonly Pathname[]
  /** Links, FIFOs and the like, which no manifest lists. */
  readonly specialFiles: readonly Pathname[]
}

/**
 * Makes a manifest for a directory that has none: a copy that was made in backup mode, a snapshot, a stopped cluster.
 *
 * All files are listed but those of `pg_wal`, and so those that a server's own backup leaves out. Where the backup begins, its
 * backup_label says, or pg_control; where it ends, the WAL. `verify` then checks whether that WAL is there and whole.
 *
 * @throws {@link PbManifestError} `CANNOT_CREATE` when nothing says where the backup ends, or the directory may be of several moments;
 * `CANNOT_MERGE` when what is stated contradicts the directory; `USAGE`, `IO`, `BAD_FILE` or `ABORTED`. Then there is no manifest,
 * or the one that was there before
 * @example
 * ```ts
 * import { createManifest } from 'pbmanifest'
 *
 * const { output, files } = await createManifest({ directory: '/backups/monday', walPath: '/archive' })
 * console.log(`${output}: ${files} files`)
 * ```
 */
export async function createManifest(options: CreateManifestOptions): Promise<CreateManifestResult> {
  const { directory, signal, checksumAlgorithm = 'CRC32C' } = options
  const yielder = new Yielder(signal)
  const output = options.output ?? join(directory, 'backup_manifest')
  const { control, major } = requireCluster(directory)
  requireOutput(output, options)
  requireNoServer(directory)
  requireOwnTablespaces(directory)
  const before = readState(directory)
  const positions = await planPositions(options, control, yielder)
  const files = new PlannedFiles()
  const { specialFiles, unusual } = await visitBackupFiles(
    directory,
    readClusterLayout(directory),
    (file) => files.add(file),
    yielder,
    true,
  )
  const bytesTotal = files.bytes
  const recorded = await recordFiles({
    directory,
    files,
    fragmentDirectory: dirname(output),
    checksumAlgorithm,
    jobs: options.jobs ?? availableParallelism(),
    onProgress: (bytesDone) => options.onProgress?.({ bytesDone, bytesTotal }),
    signal,
    yielder,
  })
  try {
    requireNoServer(directory)
    if (!readState(directory).equals(before))
      throw cannotCreate(`pg_control of "${directory}" has changed meanwhile`)
    requireOutput(output, options)
    const { endFoundBy, warning, ...range } = positions
    const merged = await mergeFragments({
      fragments: recorded.fragments,
      workers: recorded.fragments.length,
      output,
      pgdata: directory,
      ...range,
      serverVersion: major,
      ...historyOf(options, positions),
      ...(signal && { signal }),
    })
    const warnings = [...merged.warnings, ...(warning === undefined ? [] : [warning])]
    return { ...merged, warnings, output, endFoundBy, unusualFiles: unusual, specialFiles }
  } finally {
    await recorded.remove()
  }
}

type Positions =
  | FoundPositions
  | { readonly walRanges: readonly WalRange[]; readonly endFoundBy: 'stated'; readonly warning?: undefined }

async function planPositions(
  options: CreateManifestOptions,
  control: ControlFile,
  yielder: Yielder,
): Promise<Positions> {
  const { directory, walRanges, isSnapshot = false } = options
  const label = readBackupLabel(directory)
  if (label === undefined && !isSnapshot) requireRest(directory, control)
  if (walRanges !== undefined) return { walRanges, endFoundBy: 'stated' }
  const { source, directories, close } = await openWal(options, yielder)
  try {
    return await findPositions({
      directory,
      control,
      label,
      walDirectories: directories,
      wal: source,
      stated: options,
      yielder,
    })
  } finally {
    await close()
  }
}

/** @returns also the directories that may have history files */
async function openWal(
  { directory, walPath }: CreateManifestOptions,
  yielder: Yielder,
): Promise<OpenedWal & { readonly directories: readonly string[] }> {
  if (walPath !== undefined && isWalArchive(walPath)) {
    const { fault, ...opened } = await openWalArchive(walPath, false, yielder)
    if (fault === undefined) return { ...opened, directories: [] }
    await opened.close()
    throw new PbManifestError('BAD_FILE', `could not read archive "${walPath}": ${fault.message}`)
  }
  const directories = walPath === undefined ? ([`${directory}/pg_wal`] as const) : walDirectoriesOf(walPath)
  return { source: listWalSegments(directories, false), directories, close: async () => {} }
}

function requireCluster(directory: string): { readonly control: ControlFile; readonly major: number } {
  requireDirectory(directory)
  const control = readControlFile(directory)
  const major = readMajorVersion(directory)
  if (control !== undefined && major !== undefined && findVersion(major) !== undefined)
    return { control, major }
  if (control !== undefined && existsSync(`${directory}/PG_VERSION`)) {
    throw cannotCreate(`"${directory}/PG_VERSION" names no version of PostgreSQL that is known`)
  }
  const missing = control === undefined ? CONTROL_FILE : 'PG_VERSION'
  throw cannotCreate(
    `"${directory}" is not a data directory: there is no "${missing}"`,
    'A backup in tar format has to be unpacked first.',
  )
}

function requireDirectory(directory: string): void {
  try {
    opendirSync(directory).closeSync()
  } catch (error) {
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

/** The manifest must not be a file that it would have to list, and replaces nothing that nobody has allowed it to. */
function requireOutput(output: string, { directory, overwrite = false }: CreateManifestOptions): void {
  const place = relative(realpathSync(directory), realPathOf(dirname(output)))
  const isInside = place !== '..' && !place.startsWith('../')
  if (isInside && (place !== '' || basename(output) !== 'backup_manifest')) {
    throw new PbManifestError(
      'USAGE',
      `manifest "${output}" would be a file of the backup that it does not list`,
      {
        hint: 'In the directory it must be named backup_manifest, and nowhere else in it.',
      },
    )
  }
  if (overwrite || lstatSync(output, { throwIfNoEntry: false }) === undefined) return
  throw new PbManifestError('IO', `could not create file "${output}": File exists`, {
    hint: 'Use --force to replace it, or -o, --output to write another file.',
  })
}

function realPathOf(directory: string): string {
  try {
    return realpathSync(directory)
  } catch (error) {
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

function requireNoServer(directory: string): void {
  const pid = findRunningServer(directory)
  if (pid === undefined) return
  throw cannotCreate(`a server (process ${pid}) is running in "${directory}"`, HOW_TO_COPY)
}

/** The links of a copy may still lead to where the cluster has its tablespaces, which are not of the copy's moment. */
function requireOwnTablespaces(directory: string): void {
  const shared = findSharedTablespace(directory)
  if (shared === undefined) return
  throw cannotCreate(
    `"${directory}/pg_tblspc/${shared.oid}" leads to the tablespace of the cluster in "${shared.dataDirectory}", not to a copy of it`,
    'Copy the tablespace too, and have the link lead to the copy.',
  )
}

/** What changes with every checkpoint, and when a server starts or stops. */
function readState(directory: string): Buffer {
  return requireSmallFile(`${directory}/${CONTROL_FILE}`, CONTROL_FILE_BYTES)
}

/** Where the history of the last timeline is, when that is not `pg_wal`. */
function historyOf(
  { historyDirectory, walPath }: CreateManifestOptions,
  positions: Positions,
): Pick<CreateManifestOptions, 'historyDirectory'> {
  if (historyDirectory !== undefined) return { historyDirectory }
  if (walPath === undefined || !('endTimeline' in positions)) return {}
  const name = timelineHistoryFileName(positions.endTimeline)
  const found = walDirectoriesOf(walPath).find((directory) => existsSync(`${directory}/${name}`))
  return found === undefined ? {} : { historyDirectory: found }
}
