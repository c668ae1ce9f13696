import { isPbManifestError } from '../errors.js'
import { parseMajorVersion } from '../manifest/data-directory-files.js'
import type { ManifestHeader } from '../manifest/model.js'
import { type BackupLabel, parseBackupLabel } from '../postgres/backup-label.js'
import { parseControlFile } from '../postgres/control-file.js'
import { BACKUP_LABEL, CONTROL_FILE } from '../postgres/data-directory.js'
import { formatLsn } from '../postgres/lsn.js'
import type { IgnoreRules } from './ignore-rules.js'

const MAX_BYTES = 1024 * 1024

/** What a backup says of itself. `null` is what it does not say, or what could not be read. */
export interface BackupFacts {
  /** The one that was given to it, from backup_label. */
  readonly label: string | null
  /** When it was begun, from backup_label, in its words: `2026-11-22 21:36:05 UTC`. */
  readonly startTime: string | null
  /** The same in UTC, by ISO 8601; `null` also when the time zone is an abbreviation that has several meanings. */
  readonly startTimeUtc: string | null
  /** What kind of server it was taken from. */
  readonly takenFrom: 'primary' | 'standby' | null
  /** Where recovery begins. */
  readonly startLsn: string | null
  readonly startTimeline: number | null
  /** The start of the backup that it builds on; `null` also of a full one. */
  readonly incrementalFrom: { readonly lsn: string; readonly timeline: number } | null
  /** From PG_VERSION. */
  readonly serverMajorVersion: number | null
  /** Decimal. The manifest's; when that has none, as before PostgreSQL 17, that of pg_control. */
  readonly systemIdentifier: string | null
}

/** Reads what a backup says of itself. What is wrong with its files is told elsewhere. */
export function readBackupFacts(
  readSmallFile: (name: string, maxBytes: number) => Buffer | undefined,
  ignore: IgnoreRules,
  { systemIdentifier }: ManifestHeader,
): BackupFacts {
  const read = <Fact>(name: string, parse: (bytes: Buffer) => Fact): Fact | undefined => {
    if (ignore.covers(name)) return undefined
    try {
      const bytes = readSmallFile(name, MAX_BYTES)
      return bytes && parse(bytes)
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      return undefined
    }
  }
  const label = read(BACKUP_LABEL, (bytes) => parseBackupLabel(bytes.toString('utf8'), BACKUP_LABEL))
  const identifier =
    systemIdentifier ?? read(CONTROL_FILE, (bytes) => parseControlFile(bytes, CONTROL_FILE).systemIdentifier)
  return {
    ...describeLabel(label),
    serverMajorVersion: read('PG_VERSION', parseMajorVersion) ?? null,
    systemIdentifier: identifier?.toString() ?? null,
  }
}

function describeLabel(
  label: BackupLabel | undefined,
): Omit<BackupFacts, 'serverMajorVersion' | 'systemIdentifier'> {
  const from = label?.incrementalFrom
  return {
    label: label?.label ?? null,
    startTime: label?.startTime ?? null,
    startTimeUtc: toUtc(label?.startTime ?? '') ?? null,
    takenFrom: label?.backupFrom ?? null,
    startLsn: label === undefined ? null : formatLsn(label.startLsn),
    startTimeline: label?.startSegmentTimeline ?? null,
    incrementalFrom: from === undefined ? null : { lsn: formatLsn(from.lsn), timeline: from.timeline },
  }
}

/**
 * A time as backup_label has it (`2026-11-22 21:36:05 UTC`), by ISO 8601.
 *
 * @returns `undefined` when its zone is a word other than UTC: `IST` is three zones, `EST` may be Australian
 */
function toUtc(startTime: string): string | undefined {
  const parts =
    /^([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) (UTC|GMT|[+-][0-9]{2}(?:[0-9]{2})?)$/.exec(
      startTime,
    )
  if (parts === null) return undefined
  const [, day, time, zone = ''] = parts
  const offset = /^[+-]/.test(zone) ? `${zone.slice(0, 3)}:${zone.slice(3) || '00'}` : 'Z'
  const at = new Date(`${day}T${time}${offset}`)
  return Number.isNaN(at.getTime()) ? undefined : `${at.toISOString().slice(0, 19)}Z`
}
