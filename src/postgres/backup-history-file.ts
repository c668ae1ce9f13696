import {
  type BackupContent,
  BackupContentLines,
  takeBackupContent,
  takeIncrementalFrom,
} from './backup-label.js'

/** What a backup history file says: backup_label's content, and where and when the backup ended. */
export interface BackupHistoryFile extends BackupContent {
  readonly stopLsn: bigint
  /** The WAL segment that holds the byte before `stopLsn`: 24 hexadecimal digits. */
  readonly stopSegmentName: string
  /** Verbatim, like `startTime`. */
  readonly stopTime: string
  readonly stopTimeline: number
}

const historyFileName = /^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/

/**
 * Tells whether a file in pg_wal or in a WAL archive is a backup history file: the segment that holds the backup's start,
 * the start's offset in it, `.backup`.
 *
 * @see src/include/access/xlog_internal.h (`IsBackupHistoryFileName`)
 */
export function isBackupHistoryFileName(name: string): boolean {
  return historyFileName.test(name)
}

/**
 * Reads a backup history file, which a primary writes at the end of a backup.
 *
 * @param text - the file's text.
 * @param name - the file's name, for messages.
 * @throws PbManifestError `BAD_FILE` when it is not what the server writes, as {@link parseBackupLabel} does, and when
 * one of the lines about the backup's end is missing or at odds with another.
 * @see src/backend/access/transam/xlogbackup.c (`build_backup_content`)
 */
export function parseBackupHistoryFile(text: string, name: string): BackupHistoryFile {
  const lines = new BackupContentLines(text, name)
  const start = lines.takeWalLocation('START WAL LOCATION')
  const stop = lines.takeWalLocation('STOP WAL LOCATION')
  const incrementalFrom = takeIncrementalFrom(lines)
  const stopTimeline = lines.takeLastTimeline('STOP TIMELINE')
  const stopTime = lines.takeLast('STOP TIME')
  if (stopTimeline === undefined || stopTime === undefined) {
    throw lines.invalid('expected lines "STOP TIME" and "STOP TIMELINE"')
  }
  lines.requireTimeline(stopTimeline, stop)
  return {
    ...takeBackupContent(lines, start, incrementalFrom),
    stopLsn: stop.lsn,
    stopSegmentName: stop.segmentName,
    stopTime,
    stopTimeline,
  }
}
