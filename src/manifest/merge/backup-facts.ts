import { opendirSync } from 'node:fs'
import { ioError, isNotThere } from '../../files/system-error.js'
import type { BackupLabel } from '../../postgres/backup-label.js'
import type { ControlFile } from '../../postgres/control-file.js'
import { findVersionOfControlFile, type PostgresVersion } from '../../postgres/versions.js'
import { readBackupHistoryFiles, readBackupLabel, readControlFileIfKnown } from '../data-directory-files.js'

/** What a data directory knows of the backup that it is. Each part is absent when the directory does not say it. */
export interface BackupFacts {
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
export function readBackupFacts(directory: string): BackupFacts {
  requireDirectory(directory)
  let warning: string | undefined
  const control = readControlFileIfKnown(directory, (text) => (warning = text))
  const label = readBackupLabel(directory)
  return {
    ...(control && { systemIdentifier: control.systemIdentifier, ...versionOf(control) }),
    ...(label && { startLsn: label.startLsn, startTimeline: label.startSegmentTimeline }),
    ...(label && findEnd(directory, label, control)),
    ...(warning !== undefined && { warning }),
  }
}

function versionOf({ controlVersion }: ControlFile): Pick<BackupFacts, 'version'> {
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
