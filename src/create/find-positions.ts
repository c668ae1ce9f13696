import { PbManifestError } from '../errors.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import type { Yielder } from '../files/yielder.js'
import { readBackupHistoryFiles } from '../manifest/data-directory-files.js'
import type { BackupPositions } from '../manifest/wal-ranges.js'
import type { BackupLabel } from '../postgres/backup-label.js'
import type { ControlFile } from '../postgres/control-file.js'
import type { WalSource } from '../verify/wal/wal-source.js'
import {
  findBackupEnd,
  findEndOfLastRecord,
  findEndOfWal,
  type SearchedWal,
  type WalSearchResult,
} from './search-wal.js'

/**
 * What told where a backup ends:
 *
 * - `stated`: the caller
 * - `history-file`: the backup history file, beside the WAL
 * - `backup-end-record`: the record of the end of the backup, in the WAL
 * - `minimum-recovery-point`: pg_control, of a standby
 * - `shutdown-checkpoint`: the checkpoint of a cluster that was shut down
 * - `end-of-wal`: the WAL of a snapshot, to its end
 */
export type EndFoundBy =
  | 'stated'
  | 'history-file'
  | 'backup-end-record'
  | 'minimum-recovery-point'
  | 'shutdown-checkpoint'
  | 'end-of-wal'

/** Where the backup in a directory begins and ends. */
export interface FoundPositions extends BackupPositions {
  readonly endFoundBy: EndFoundBy
  /** What has to be so for the end to be right, a sentence. */
  readonly warning?: string
}

/** What there is to find it by. */
export interface PositionsInput {
  readonly directory: string
  readonly control: ControlFile
  readonly label: BackupLabel | undefined
  /** Directories of WAL. */
  readonly walDirectories: readonly string[]
  /** The segments in them. */
  readonly wal: WalSource
  /** What the caller says. */
  readonly stated: Partial<BackupPositions>
  readonly yielder: Yielder
}

/**
 * Finds where the backup in a directory begins and ends.
 *
 * @throws {@link PbManifestError} `CANNOT_CREATE` when nothing says so; `IO` or `BAD_FILE`
 */
export async function findPositions(input: PositionsInput): Promise<FoundPositions> {
  const { label, control, stated } = input
  const startLsn = stated.startLsn ?? label?.startLsn ?? control.checkPointCopy.redo
  const startTimeline = stated.startTimeline ?? label?.startSegmentTimeline ?? control.checkPointCopy.timeline
  const start = { startLsn, startTimeline }
  if (stated.endLsn !== undefined) {
    return {
      ...start,
      endLsn: stated.endLsn,
      endTimeline: stated.endTimeline ?? startTimeline,
      endFoundBy: 'stated',
    }
  }
  return { ...start, ...(await findEnd(input, start)) }
}

type Start = Pick<BackupPositions, 'startLsn' | 'startTimeline'>
type End = Pick<FoundPositions, 'endLsn' | 'endTimeline' | 'endFoundBy' | 'warning'>

async function findEnd(input: PositionsInput, start: Start): Promise<End> {
  const { label, control } = input
  const isStandby = label === undefined ? isStandbyState(control) : label.backupFrom === 'standby'
  if (isStandby) return endOfStandby(input)
  if (label !== undefined) {
    const found = endInHistoryFile(label, input.walDirectories)
    if (found !== undefined) return found
    return await search(input, start, findBackupEnd, 'backup-end-record')
  }
  return control.state === 'shut down'
    ? await search(input, start, findEndOfLastRecord, 'shutdown-checkpoint')
    : await search(input, start, findEndOfWal, 'end-of-wal')
}

function endInHistoryFile(label: BackupLabel, directories: readonly string[]): End | undefined {
  const history = directories
    .flatMap(historyFilesIn)
    .find(
      (file) => file.startLsn === label.startLsn && file.startSegmentTimeline === label.startSegmentTimeline,
    )
  if (history === undefined) return undefined
  const { stopLsn: endLsn, stopTimeline: endTimeline } = history
  return { endLsn, endTimeline, endFoundBy: 'history-file' }
}

function historyFilesIn(directory: string): ReturnType<typeof readBackupHistoryFiles> {
  try {
    return readBackupHistoryFiles(directory)
  } catch (error) {
    // Without any WAL, the search for the record says so.
    if (['ENOENT', 'ENOTDIR'].includes(describeSystemError(error)?.code ?? '')) return []
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

function isStandbyState({ state }: ControlFile): boolean {
  return state === 'shut down in recovery' || state === 'in archive recovery'
}

/** A standby writes no WAL, so nothing in it says that a backup has ended. */
function endOfStandby({ directory, control, label }: PositionsInput): End {
  const { minRecoveryPoint: endLsn, minRecoveryPointTimeline: endTimeline } = control
  const warning =
    'where the backup ends is known by pg_control only, which must have been copied after all other files; else state it with --end-lsn'
  if (endLsn !== 0n) {
    return { endLsn, endTimeline, endFoundBy: 'minimum-recovery-point', ...(label && { warning }) }
  }
  throw cannotCreate(
    `nothing says where the backup in "${directory}" ends: it is of a standby, but pg_control has no minimum recovery point`,
    'State it with --end-lsn: pg_backup_stop() has returned it.',
  )
}

async function search(
  { wal, control, yielder, directory }: PositionsInput,
  { startLsn, startTimeline: timeline }: Start,
  find: (searched: SearchedWal, yielder: Yielder) => Promise<WalSearchResult>,
  endFoundBy: EndFoundBy,
): Promise<End> {
  const { walSegmentSize: segmentSize, systemIdentifier } = control
  const found = await find({ source: wal, segmentSize, systemIdentifier, timeline, startLsn }, yielder)
  if ('endLsn' in found) return { endLsn: found.endLsn, endTimeline: timeline, endFoundBy }
  throw cannotCreate(
    `nothing says where the backup in "${directory}" ends: ${found.fault}`,
    endFoundBy === 'backup-end-record'
      ? 'Name the archive with --wal-path, or state the end with --end-lsn: pg_backup_stop() has returned it.'
      : 'Name the directory that has the WAL with --wal-path, or state the end with --end-lsn.',
  )
}

/** What to do about a directory of which a server has written to. A sentence. */
export const HOW_TO_COPY =
  'A copy of a running cluster is good when it was made between pg_backup_start and pg_backup_stop, with the backup_label that the latter returns, or in one moment by the file system: then say --snapshot.'

/**
 * Makes sure that a directory without a backup_label was not written to while it was copied: its files could be of different moments,
 * and nothing would show it.
 *
 * @throws {@link PbManifestError} `CANNOT_CREATE`
 */
export function requireRest(directory: string, { state }: ControlFile): void {
  if (state === 'shut down' || state === 'shut down in recovery') return
  throw cannotCreate(
    `the cluster in "${directory}" was not shut down (pg_control says "${state}"), and there is no backup_label`,
    HOW_TO_COPY,
  )
}

export function cannotCreate(message: string, hint?: string): PbManifestError {
  return new PbManifestError(
    'CANNOT_CREATE',
    `could not create manifest: ${message}`,
    hint === undefined ? {} : { hint },
  )
}
