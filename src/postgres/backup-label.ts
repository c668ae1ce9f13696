import { formatLsn, type LsnDigits, parseLsn } from './lsn.js'
import { badFile } from './bad-file.js'
import { parsePositiveUnsignedInt32 } from './unsigned-int.js'

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

/** A place in the WAL as a backup's files give it. */
interface BackupWalLocation {
  readonly lsn: bigint
  /** The segment that holds it: 24 hexadecimal digits. */
  readonly segmentName: string
  /** The first 8 of them. */
  readonly timeline: number
}

const walLocation = /^([0-9A-Fa-f/]+) \(file (([0-9A-F]{8})[0-9A-F]{16})\)$/

/**
 * The lines of a backup_label or backup history file, to be taken from the top and from the bottom.
 *
 * From the bottom, because the label that the user gave stands in the middle without any escaping: one of several lines
 * may hold lines that look like those that follow it. Only the last ones are the server's.
 */
export class BackupContentLines {
  /** Each with its LF; the file's last may lack it. */
  readonly #lines: string[]
  readonly #name: string

  constructor(text: string, name: string) {
    this.#lines = text.split(/(?<=\n)/)
    this.#name = name
  }

  /** Takes `<key>: <LSN> (file <segment>)` and its LF from the top; nothing else may stand there. */
  takeWalLocation(key: string): BackupWalLocation {
    const [, lsnText = '', segmentName = '', timelineText = ''] =
      walLocation.exec(this.#takeWholeLine(key)) ?? []
    const lsn = parseLsn(lsnText)
    const timeline = Number.parseInt(timelineText, 16)
    if (lsn === undefined || timeline === 0) throw this.invalid(`expected line "${key}: LSN (file SEGMENT)"`)
    return { lsn, segmentName, timeline }
  }

  /** Takes `<key>: <LSN>` and its LF from the top; nothing else may stand there. */
  takeLsn(key: string): bigint {
    const lsn = parseLsn(this.#takeWholeLine(key))
    if (lsn === undefined) throw this.invalid(`expected line "${key}: LSN"`)
    return lsn
  }

  /** Takes the value of `<key>: <value>` from the top, if that is the next line. Blanks at its end do not count. */
  takeFirst(key: string): string | undefined {
    return this.#takeFirstVerbatim(key)?.trimEnd()
  }

  /** Takes the value of `<key>: <value>` from the bottom, if that is the last line. Blanks at its end do not count. */
  takeLast(key: string): string | undefined {
    this.#dropBlankLinesAtTheEnd()
    const value = valueOf(this.#lines.at(-1), key)
    if (value !== undefined) this.#lines.pop()
    return value?.trimEnd()
  }

  /** Takes `<key>: <timeline>` from the bottom, if that is the last line. */
  takeLastTimeline(key: string): number | undefined {
    const value = this.takeLast(key)
    if (value === undefined) return undefined
    const timeline = parsePositiveUnsignedInt32(value)
    if (timeline === undefined) throw this.invalid(`expected line "${key}: TIMELINE"`)
    return timeline
  }

  /** Takes `<key>: <LSN>` from the bottom, if that is the last line. */
  takeLastLsn(key: string): bigint | undefined {
    const value = this.takeLast(key)
    if (value === undefined) return undefined
    const lsn = parseLsn(value)
    if (lsn === undefined) throw this.invalid(`expected line "${key}: LSN"`)
    return lsn
  }

  /** Takes `<key>: <text>` where the text goes on to the end of what is left, if that is the next line. */
  takeRest(key: string): string | undefined {
    const rest = this.#lines.splice(0).join('')
    return valueOf(rest, key)
  }

  /** Throws when a timeline that is there is not that of the segment in `location`. */
  requireTimeline(timeline: number | undefined, location: BackupWalLocation): void {
    if (timeline === undefined || timeline === location.timeline) return
    throw this.invalid(`timeline ID parsed is ${timeline}, but expected ${location.timeline}`)
  }

  /** Makes the error for content that the server does not write, in the words of its reader. */
  invalid(what: string): Error {
    return badFile(this.#name, `invalid data in file: ${what}`)
  }

  #takeWholeLine(key: string): string {
    const hasLineFeed = this.#lines[0]?.endsWith('\n') === true
    return (hasLineFeed ? this.#takeFirstVerbatim(key) : undefined) ?? ''
  }

  #takeFirstVerbatim(key: string): string | undefined {
    const value = valueOf(this.#lines[0], key)
    if (value !== undefined) this.#lines.shift()
    return value
  }

  #dropBlankLinesAtTheEnd(): void {
    while (this.#lines.at(-1)?.trim() === '') this.#lines.pop()
  }
}

function valueOf(line: string | undefined, key: string): string | undefined {
  const start = `${key}: `
  return line?.startsWith(start) ? line.slice(start.length).replace(/\n$/, '') : undefined
}
