import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readSmallFile } from '../files/read-small-file.js'
import {
  type BackupHistoryFile,
  isBackupHistoryFileName,
  parseBackupHistoryFile,
} from '../postgres/backup-history-file.js'
import { type BackupLabel, parseBackupLabel } from '../postgres/backup-label.js'
import {
  type ControlFile,
  isControlFileOfUnknownVersion,
  mockAuthenticationNonce,
  parseControlFile,
} from '../postgres/control-file.js'
import { BACKUP_LABEL, CONTROL_FILE } from '../postgres/data-directory.js'
import {
  parseTimelineHistory,
  type TimelineHistoryEntry,
  timelineHistoryFileName,
} from '../postgres/timeline-history.js'
import { isPbManifestError } from '../errors.js'

/**
 * The small files of a data directory, or of a copy of one, that say what it is. Each is `undefined` when it is not
 * there.
 *
 * All throw {@link PbManifestError}: `IO`, or `BAD_FILE` when a file does not have its format.
 */

const CONTROL_FILE_BYTES = 64 * 1024
/** PostgreSQL's own readers take no longer one. */
const BACKUP_LABEL_BYTES = 64 * 1024
const HISTORY_FILE_BYTES = 1024 * 1024

export function readControlFile(directory: string): ControlFile | undefined {
  const path = `${directory}/${CONTROL_FILE}`
  const bytes = readSmallFile(path, CONTROL_FILE_BYTES)
  return bytes && parseControlFile(bytes, path)
}

/**
 * The same for those who can do without: of a version that is not known, nothing can be told, and nothing is damaged.
 *
 * @param onUnknown - is told so
 */
export function readControlFileIfKnown(
  directory: string,
  onUnknown: (warning: string) => void,
): ControlFile | undefined {
  const path = `${directory}/${CONTROL_FILE}`
  const bytes = readSmallFile(path, CONTROL_FILE_BYTES)
  if (bytes === undefined) return undefined
  if (!isControlFileOfUnknownVersion(bytes)) return parseControlFile(bytes, path)
  onUnknown(`"${path}" is of a version of PostgreSQL that is not known, and was not looked at`)
  return undefined
}

/** See {@link mockAuthenticationNonce}. */
export function readMockAuthenticationNonce(directory: string): Buffer | undefined {
  const path = `${directory}/${CONTROL_FILE}`
  const bytes = readSmallFile(path, CONTROL_FILE_BYTES)
  return bytes && mockAuthenticationNonce(bytes, path)
}

export function readBackupLabel(directory: string): BackupLabel | undefined {
  const path = `${directory}/${BACKUP_LABEL}`
  const bytes = readSmallFile(path, BACKUP_LABEL_BYTES)
  return bytes && parseBackupLabel(bytes.toString('utf8'), path)
}

/** The major version of the cluster; `undefined` also when PG_VERSION does not say one. */
export function readMajorVersion(directory: string): number | undefined {
  return parseMajorVersion(readSmallFile(`${directory}/PG_VERSION`, 1024))
}

/** What a PG_VERSION says, if it says so. */
export function parseMajorVersion(bytes: Buffer | undefined): number | undefined {
  const major = /^([1-9][0-9]{0,3})\s/.exec(bytes?.toString('latin1') ?? '')?.[1]
  return major === undefined ? undefined : Number(major)
}

/** The history of a timeline, from a directory of WAL. */
export function readTimelineHistory(
  directory: string,
  timeline: number,
): readonly TimelineHistoryEntry[] | undefined {
  const path = `${directory}/${timelineHistoryFileName(timeline)}`
  const bytes = readSmallFile(path, HISTORY_FILE_BYTES)
  return bytes && parseTimelineHistory(bytes.toString('utf8'), timeline, path)
}

/** All backup history files in a directory of WAL. */
export function readBackupHistoryFiles(directory: string): BackupHistoryFile[] {
  const names = readdirSync(directory).filter(isBackupHistoryFileName)
  return names.flatMap((name) => {
    const path = `${directory}/${name}`
    const bytes = readSmallFile(path, BACKUP_LABEL_BYTES)
    return bytes === undefined ? [] : [parseBackupHistoryFile(bytes.toString('utf8'), path)]
  })
}

/** As PostgreSQL's own tools do. @see src/common/controldata_utils.c (`get_controlfile`) */
const MOST_READS = 10
const PAUSE_MS = 10

/**
 * Reads something of pg_control, which a server writes in place: what is damaged may be half written, and is read again.
 *
 * @throws what `read` throws the last time
 */
export async function readControlFileWhileWritten<Result>(
  read: () => Result | Promise<Result>,
): Promise<Result> {
  for (let reads = 1; ; reads++) {
    try {
      return await read()
    } catch (error) {
      if (reads === MOST_READS || !isPbManifestError(error) || error.code !== 'BAD_FILE') throw error
      await sleep(PAUSE_MS)
    }
  }
}
