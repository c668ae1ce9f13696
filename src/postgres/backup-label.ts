import { formatLsn, type LsnDigits } from './lsn.js'
import { BackupContentLines, type BackupWalLocation } from './backup-content-lines.js'

/** What backup_label and the backup history file both say about a backup. */
export interface BackupContent {
  /** Where recovery from the backup begins to replay: the redo pointer of the backup's checkpoint. */
  readonly startLsn: bigint
  /** The WAL segment that holds `startLsn`: 24 hexadecimal digits. */
  readonly startSegmentName: string
  /** The timeline in that segment's name; the one that counts, since `startTimeline` may be missing. */
  readonly startSegmentTimeline: number
  readonly checkpointLsn: bigint
  /** `streamed` of every base backup; `pg_start_backup` (exclusive, up to 14) or `pg_rewind` are others. */
  readonly backupMethod: string | undefined
  /** `standby` when the server was in recovery; `primary` for every other word (13 writes `master`) and for none. */
  readonly backupFrom: 'primary' | 'standby'
  /** Verbatim, such as `2026-11-22 21:36:05 UTC`: the zone is an abbreviation of the server's log_timezone. */
  readonly startTime: string | undefined
  /** The label that the user gave, maybe of several lines. pg_rewind writes none. */
  readonly label: string | undefined
  /** Equal to `startSegmentTimeline` where it is there. pg_rewind writes none. */
  readonly startTimeline: number | undefined
  /** The start of the backup that this incremental backup builds on; `undefined` in a full one. */
  readonly incrementalFrom: { readonly lsn: bigint; readonly timeline: number } | undefined
}

/** What backup_label says: from where recovery begins, and what kind of backup it is. */
export type BackupLabel = BackupContent

/** @see src/include/access/xlogbackup.h (`MAXPGPATH`) */
const MAX_LABEL_BYTES = 1024

/**
 * Says why a server cannot take this for a backup's label; `undefined` when it can. A line break would let the label pass for
 * further lines of backup_label.
 */
export function findLabelFault(label: string): string | undefined {
  if (/[\n\r]/.test(label)) return 'a backup label cannot hold a line break'
  if (label.includes('\0')) return 'a backup label cannot hold a null byte'
  if (!label.isWellFormed()) return 'a backup label must be valid UTF-8'
  return Buffer.byteLength(label) > MAX_LABEL_BYTES
    ? `backup label too long (max ${MAX_LABEL_BYTES} bytes)`
    : undefined
}

/**
 * Reads backup_label, as strictly as the server does when it starts on the backup: the first two lines exactly, each with
 * its LF (a file with CRLF is refused), the timeline of line START TIMELINE equal to that in the segment's name.
 *
 * Unlike the server's reader it is not confused by a label of several lines.
 *
 * @param text - the file's text.
 * @param name - the file's name, for messages.
 * @throws PbManifestError `BAD_FILE`, in the server's words "invalid data in file".
 * @see src/backend/access/transam/xlogrecovery.c (`read_backup_label`)
 * @see https://www.postgresql.org/docs/current/continuous-archiving.html
 */
export function parseBackupLabel(text: string, name: string): BackupLabel {
  const lines = new BackupContentLines(text, name)
  const start = lines.takeWalLocation('START WAL LOCATION')
  return takeBackupContent(lines, start, takeIncrementalFrom(lines))
}

/**
 * Takes what stands between START WAL LOCATION (and what else is taken already) and the end of the lines.
 *
 * @see src/backend/access/transam/xlogbackup.c (`build_backup_content`)
 */
export function takeBackupContent(
  lines: BackupContentLines,
  start: BackupWalLocation,
  incrementalFrom: BackupContent['incrementalFrom'],
): BackupContent {
  const checkpointLsn = lines.takeLsn('CHECKPOINT LOCATION')
  const backupMethod = lines.takeFirst('BACKUP METHOD')
  const backupFrom = lines.takeFirst('BACKUP FROM') === 'standby' ? 'standby' : 'primary'
  const startTime = lines.takeFirst('START TIME')
  const startTimeline = lines.takeLastTimeline('START TIMELINE')
  lines.requireTimeline(startTimeline, start)
  return {
    startLsn: start.lsn,
    startSegmentName: start.segmentName,
    startSegmentTimeline: start.timeline,
    checkpointLsn,
    backupMethod,
    backupFrom,
    startTime,
    label: lines.takeRest('LABEL'),
    startTimeline,
    incrementalFrom,
  }
}

/**
 * The two lines that end the label of an incremental backup.
 *
 * @see src/backend/access/transam/xlogbackup.c (`build_backup_content`)
 */
export function formatIncrementalFrom(
  { lsn, timeline }: NonNullable<BackupContent['incrementalFrom']>,
  lsnDigits: LsnDigits,
): string {
  return `INCREMENTAL FROM LSN: ${formatLsn(lsn, lsnDigits)}\nINCREMENTAL FROM TLI: ${timeline}\n`
}

/** Those of an incremental backup among them. A zone's abbreviation has at most so many bytes, but for odd ones. */
const LONGEST_LINES = [
  'START WAL LOCATION: FFFFFFFF/FFFFFFFF (file FFFFFFFFFFFFFFFFFFFFFFFF)',
  'CHECKPOINT LOCATION: FFFFFFFF/FFFFFFFF',
  'BACKUP METHOD: streamed',
  'BACKUP FROM: standby',
  'START TIME: 2026-11-22 21:36:05 ABCDEF',
  'START TIMELINE: 4294967295',
  'INCREMENTAL FROM LSN: FFFFFFFF/FFFFFFFF',
  'INCREMENTAL FROM TLI: 4294967295',
].join('\n')

/** How many bytes the backup_label of a backup of this label may have, before it is known: hardly ever more than this. */
export function longestBackupLabel(label: string): number {
  return LONGEST_LINES.length + Buffer.byteLength(`\nLABEL: ${label}\n`)
}

/** Takes the two lines at the end of an incremental backup's content, both or neither. */
export function takeIncrementalFrom(lines: BackupContentLines): BackupContent['incrementalFrom'] {
  const timeline = lines.takeLastTimeline('INCREMENTAL FROM TLI')
  const lsn = lines.takeLastLsn('INCREMENTAL FROM LSN')
  if (timeline === undefined && lsn === undefined) return undefined
  if (timeline !== undefined && lsn !== undefined) return { lsn, timeline }
  throw lines.invalid('expected both or neither of lines "INCREMENTAL FROM LSN" and "INCREMENTAL FROM TLI"')
}
