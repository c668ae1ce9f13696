import { formatLsn, type LsnDigits } from '../../postgres/lsn.js'
import { timelineWithoutHistory } from '../../postgres/timeline-history.js'
import { findVersion, findVersionOfControlFile, type PostgresVersion } from '../../postgres/versions.js'
import { validatorOf } from '../../schemas/validator.js'
import {
  readBackupHistoryFiles,
  readBackupLabel,
  readControlFileIfKnown,
  readTimelineHistory,
} from '../data-directory-files.js'
import { type ManifestHeader, type ManifestVersion, manifestVersionOf, type WalRange } from '../model.js'
import { type BackupPositions, findWalRangeFaults, walRangesOfPositions } from '../wal-ranges.js'
import type { MergeInput } from './merge-options.js'
import { opendirSync } from 'node:fs'
import { ioError, isNotThere } from '../../files/system-error.js'
import type { BackupLabel } from '../../postgres/backup-label.js'
import type { ControlFile } from '../../postgres/control-file.js'

/** What stands in a manifest around its files. */
export interface ManifestFrame {
  readonly header: ManifestHeader
  readonly walRanges: readonly WalRange[]
  readonly lsnDigits: LsnDigits
  /** What of the data directory could not be asked, in sentences. */
  readonly warnings: readonly string[]
}

/** Collects what is wrong with the parts of a merge, so that all of it is said at once. */
export type FaultSink = (fault: string, hint?: string) => undefined

/**
 * Works out the frame of a manifest from what the caller says and from what the data directory knows.
 *
 * @returns `undefined` when it cannot; then at least one fault was told
 * @throws {@link PbManifestError} `IO` or `BAD_FILE`
 */
export function planManifestFrame(options: MergeInput, fault: FaultSink): ManifestFrame | undefined {
  const facts = options.pgdata === undefined ? {} : readBackupFacts(options.pgdata)
  const version = planVersion(options, facts, fault)
  const header = planHeader(options, { ...facts, ...(version && { version }) }, fault)
  const walRanges = planWalRanges(options, facts, fault)
  const warnings = facts.warning === undefined ? [] : [facts.warning]
  return header && walRanges && { header, walRanges, lsnDigits: version?.lsnDigits ?? 1, warnings }
}

/** The version that was given; several may have the control file that the data directory has. */
function planVersion(
  { serverVersion }: MergeInput,
  { version: found }: BackupFacts,
  fault: FaultSink,
): PostgresVersion | undefined {
  const given = serverVersion === undefined ? undefined : findVersion(serverVersion)
  if (given === undefined || found === undefined) return given ?? found
  const isSame = given.controlVersions.some((version) => found.controlVersions.includes(version))
  return isSame
    ? given
    : fault(`server version ${given.major} was given, but the control file is of another version`)
}

function planHeader(options: MergeInput, facts: BackupFacts, fault: FaultSink): ManifestHeader | undefined {
  const systemIdentifier = agree(
    'system identifier',
    options.systemIdentifier,
    facts.systemIdentifier,
    String,
    fault,
  )
  const version = options.manifestVersion ?? versionOf(facts) ?? (systemIdentifier === undefined ? 1 : 2)
  if (version === 1) return { version, systemIdentifier: undefined }
  if (systemIdentifier !== undefined && BigInt.asUintN(64, systemIdentifier) !== systemIdentifier) {
    return fault(`system identifier ${systemIdentifier} is out of range`)
  }
  if (systemIdentifier !== undefined) return { version, systemIdentifier }
  return fault('a manifest of version 2 needs a system identifier')
}

function versionOf({ version }: BackupFacts): ManifestVersion | undefined {
  return version && manifestVersionOf(version)
}

function planWalRanges(
  options: MergeInput,
  facts: BackupFacts,
  fault: FaultSink,
): readonly WalRange[] | undefined {
  const ranges =
    options.walRanges === undefined
      ? rangesOfPositions(options, facts, fault)
      : rangesOutright(options.walRanges, facts, fault)
  if (ranges === undefined) return undefined
  if (ranges.length === 0) return fault('there is no WAL range')
  const faults = [...findUnwritableRanges(ranges), ...findWalRangeFaults(ranges)]
  for (const text of faults) fault(text)
  return faults.length === 0 ? ranges : undefined
}

/** Ranges that no manifest can hold: a timeline or an LSN that is out of range. */
function findUnwritableRanges(ranges: readonly WalRange[]): string[] {
  const mismatchOf = validatorOf('wal-range')
  return ranges.flatMap(({ timeline, startLsn, endLsn }) => {
    const json = { Timeline: timeline, 'Start-LSN': formatLsn(startLsn), 'End-LSN': formatLsn(endLsn) }
    const mismatch = mismatchOf(json)
    return mismatch === undefined ? [] : [`WAL range ${JSON.stringify(json)}: ${mismatch}`]
  })
}

function rangesOutright(
  walRanges: readonly WalRange[],
  facts: BackupFacts,
  fault: FaultSink,
): readonly WalRange[] {
  const newestFirst = walRanges.toSorted((left, right) => right.timeline - left.timeline)
  const oldest = newestFirst.at(-1)
  agree('start LSN', oldest?.startLsn, facts.startLsn, formatLsn, fault)
  agree('start timeline', oldest?.timeline, facts.startTimeline, String, fault)
  return newestFirst
}

function rangesOfPositions(
  options: MergeInput,
  facts: BackupFacts,
  fault: FaultSink,
): WalRange[] | undefined {
  const positions = planPositions(options, facts, fault)
  if (positions === undefined) return undefined
  const { endTimeline, startTimeline } = positions
  const directory =
    options.historyDirectory ?? (options.pgdata === undefined ? undefined : `${options.pgdata}/pg_wal`)
  const history = directory === undefined ? undefined : readTimelineHistory(directory, endTimeline)
  if (history === undefined && endTimeline !== startTimeline) {
    const place = directory === undefined ? '' : ` in "${directory}"`
    return fault(`the history file of timeline ${endTimeline} is needed, and is not there${place}`)
  }
  // Without a switch on the way, the ancestors of the timeline do not matter.
  const ranges = walRangesOfPositions(positions, history ?? timelineWithoutHistory(endTimeline))
  return typeof ranges === 'string' ? fault(ranges) : ranges
}

const WHERE_START = 'Where a backup starts is in its backup_label: START WAL LOCATION and START TIMELINE.'
const WHERE_END =
  'pg_backup_stop() returns the end LSN. It is also in the backup history file, STOP WAL LOCATION, when pg_wal has that.'

function planPositions(
  options: MergeInput,
  facts: BackupFacts,
  fault: FaultSink,
): BackupPositions | undefined {
  const startLsn = agree('start LSN', options.startLsn, facts.startLsn, formatLsn, fault)
  const startTimeline = agree('start timeline', options.startTimeline, facts.startTimeline, String, fault)
  const endLsn = options.endLsn ?? facts.endLsn
  if (startLsn === undefined) fault('the start LSN is not known', WHERE_START)
  if (startTimeline === undefined) fault('the start timeline is not known', WHERE_START)
  if (endLsn === undefined) fault('the end LSN is not known', WHERE_END)
  if (startLsn === undefined || startTimeline === undefined || endLsn === undefined) return undefined
  const endTimeline =
    options.endTimeline ?? (options.endLsn === undefined ? facts.endTimeline : undefined) ?? startTimeline
  return { startLsn, startTimeline, endLsn, endTimeline }
}

/** The one value of two, which must not contradict each other. */
function agree<Value>(
  what: string,
  given: Value | undefined,
  found: Value | undefined,
  format: (value: Value) => string,
  fault: FaultSink,
): Value | undefined {
  if (given !== undefined && found !== undefined && given !== found) {
    fault(`${what} ${format(given)} was given, but the data directory says ${format(found)}`)
  }
  return given ?? found
}

/** What a data directory knows of the backup that it is. Each part is absent when the directory does not say it. */
interface BackupFacts {
  readonly systemIdentifier?: bigint
  /** What it writes into manifests is known, though several versions may have the same control file. */
  readonly version?: PostgresVersion
  readonly startLsn?: bigint
  readonly startTimeline?: number
  readonly endLsn?: bigint
  readonly endTimeline?: number
  /** What could not be asked, in a sentence. */
  readonly warning?: string
}

/**
 * Asks pg_control, backup_label, and the backup history files in pg_wal.
 *
 * @throws {@link PbManifestError} `IO` or `BAD_FILE`
 */
function readBackupFacts(directory: string): BackupFacts {
  requireDirectory(directory)
  let warning: string | undefined
  const control = readControlFileIfKnown(directory, (text) => (warning = text))
  const label = readBackupLabel(directory)
  return {
    ...(control && { systemIdentifier: control.systemIdentifier, ...versionOfControl(control) }),
    ...(label && { startLsn: label.startLsn, startTimeline: label.startSegmentTimeline }),
    ...(label && findEnd(directory, label, control)),
    ...(warning !== undefined && { warning }),
  }
}

function versionOfControl({ controlVersion }: ControlFile): Pick<BackupFacts, 'version'> {
  const version = findVersionOfControlFile(controlVersion)
  return version === undefined ? {} : { version }
}

function requireDirectory(path: string): void {
  try {
    opendirSync(path).closeSync()
  } catch (error) {
    throw ioError(`could not open directory "${path}"`, error)
  }
}

function findEnd(
  directory: string,
  label: BackupLabel,
  control: ControlFile | undefined,
): Pick<BackupFacts, 'endLsn' | 'endTimeline'> | undefined {
  if (label.backupFrom === 'standby') {
    // A standby writes no record for the end of a backup: it ends at the minimum recovery point, copied last.
    return control && { endLsn: control.minRecoveryPoint, endTimeline: control.minRecoveryPointTimeline }
  }
  const history = readHistoryFiles(directory).find(
    (file) => file.startLsn === label.startLsn && file.startSegmentTimeline === label.startSegmentTimeline,
  )
  return (
    history && { endLsn: history.stopLsn, endTimeline: history.stopTimeline ?? history.startSegmentTimeline }
  )
}

function readHistoryFiles(directory: string): ReturnType<typeof readBackupHistoryFiles> {
  try {
    return readBackupHistoryFiles(`${directory}/pg_wal`)
  } catch (error) {
    // A backup may come without any WAL, and without the directory.
    if (isNotThere(error)) return []
    throw ioError(`could not open directory "${directory}/pg_wal"`, error)
  }
}
