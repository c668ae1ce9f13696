import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { isPbManifestError } from '../errors.js'
import { describeSystemError } from '../files/system-error.js'
import { formatAsJson } from '../schemas/validator.js'
import { version } from '../version.js'
import {
  type BackupRecord,
  type FailedRun,
  readFailedRun,
  readRecord,
  type VerificationRun,
} from './backup-record.js'
import { StateDirectory } from './state-directory.js'

/**
 * Whether a backup is where it was verified: `replaced` by another one, `removed`, or not to be seen by us.
 */
export type BackupPresence = 'present' | 'replaced' | 'removed' | 'unknown'

/** What is known of a backup. */
export interface BackupStatus extends Omit<BackupRecord, 'runs'> {
  readonly presence: BackupPresence
  /** Bytes more than the backup of the same system before it; `null` when there is none. */
  readonly growthBytes: number | null
  /** How many verifications are known. */
  readonly runs: number
  readonly lastRun: VerificationRun
  /** The end of the last verification without a problem; `null`: there was none. */
  readonly lastGoodAt: string | null
  /** How long that is ago, in seconds. */
  readonly ageSeconds: number | null
  /** Since when each file has been read once, by what the verifications without a problem say. */
  readonly allReadSince: string | null
  /** Whether that was too long ago; never of one that is not there any more, nor when no age was said. */
  readonly isStale: boolean
  /** Whether the last verification found problems, or saw only a part. */
  readonly isBad: boolean
}

/**
 * What a state directory says of all backups, as data.
 *
 * @see schemas/status-report.schema.json
 */
export interface StatusReport {
  readonly reportVersion: 1
  readonly pbmanifestVersion: string
  readonly host: string
  /** UTC, by ISO 8601. */
  readonly at: string
  /** Absolute, without links. */
  readonly stateDirectory: string
  /** After how many seconds a verification counts as too old; `null`: never. */
  readonly staleSeconds: number | null
  /** By pathname; of the same one, the last verified first. */
  readonly backups: readonly BackupStatus[]
  /** How many of those that are there are stale or bad. */
  readonly stale: number
  readonly bad: number
  /** Of directories that are there, those whose last verification came to no verdict: they are not in order, whatever was known before. */
  readonly failed: readonly FailedRun[]
  /** What in the state could not be read: of such a backup nothing is known. */
  readonly damaged: readonly string[]
}

/** What to ask for. */
export interface StatusOptions {
  /** Default: no verification is too old. */
  readonly staleSeconds?: number
  /** Milliseconds since 1970. Default: now. */
  readonly now?: number
}

/**
 * Tells what verifications have left in a state directory.
 *
 * @throws {@link PbManifestError} `IO`; `BAD_FILE` when it is no state directory
 */
export function readStatus(stateDirectory: string, options: StatusOptions = {}): StatusReport {
  const { staleSeconds, now = Date.now() } = options
  const state = StateDirectory.open(stateDirectory)
  const damaged: string[] = []
  const records = state.listPlaces().flatMap((place) => {
    try {
      // A verification that was the first and did not end has left none.
      return readRecord(place) ?? []
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      damaged.push(error.message)
      return []
    }
  })
  const failed = state.listFailures().flatMap((path) => {
    try {
      const run = readFailedRun(path)
      return run !== undefined && lookFor(run.path) !== 'removed' ? run : []
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      damaged.push(error.message)
      return []
    }
  })
  const sorted = records.toSorted(byPathAndTime)
  const paths = new Set<string>()
  const backups = sorted.map((record) => {
    const presence = paths.has(record.path) ? 'replaced' : lookFor(record.path)
    paths.add(record.path)
    return describe(record, { presence, growthBytes: growthOf(record, records), staleSeconds, now })
  })
  return {
    reportVersion: 1,
    pbmanifestVersion: version,
    host: hostname(),
    at: new Date(now).toISOString(),
    stateDirectory: state.path,
    staleSeconds: staleSeconds ?? null,
    backups,
    stale: backups.filter(({ isStale }) => isStale).length,
    bad: backups.filter(({ isBad }) => isBad).length,
    failed: failed.toSorted((left, right) => (left.path < right.path ? -1 : 1)),
    damaged,
  }
}

/**
 * The status as a JSON document.
 *
 * @throws Error when it does not fit `schemas/status-report.schema.json`: a bug of ours
 */
export function formatStatusAsJson(status: StatusReport): string {
  return formatAsJson('status-report', status)
}

/** Whether a backup counts: one that was removed or replaced needs no verification. */
export function isThere({ presence }: Pick<BackupStatus, 'presence'>): boolean {
  return presence === 'present' || presence === 'unknown'
}

function byPathAndTime(left: BackupRecord, right: BackupRecord): number {
  if (left.path !== right.path) return left.path < right.path ? -1 : 1
  return timeOfLastRun(right) - timeOfLastRun(left)
}

function timeOfLastRun({ runs }: BackupRecord): number {
  return Date.parse(runs.at(-1)?.startedAt ?? '')
}

function lookFor(path: string): BackupPresence {
  try {
    statSync(path)
    return 'present'
  } catch (error) {
    const code = describeSystemError(error)?.code
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'removed' : 'unknown'
  }
}

interface Circumstances {
  readonly presence: BackupPresence
  readonly growthBytes: number | null
  readonly staleSeconds: number | undefined
  readonly now: number
}

function describe(
  { runs, ...record }: BackupRecord,
  { presence, growthBytes, staleSeconds, now }: Circumstances,
): BackupStatus {
  const lastRun = runs.at(-1)
  if (lastRun === undefined) throw new Error('a record has a run')
  const lastGoodAt = runs.findLast(isGood)?.endedAt ?? null
  // A clock that was set back does not make it younger than now.
  const ageSeconds = lastGoodAt === null ? null : Math.max(0, (now - Date.parse(lastGoodAt)) / 1000)
  const counts = isThere({ presence })
  return {
    ...record,
    presence,
    growthBytes,
    runs: runs.length,
    lastRun,
    lastGoodAt,
    ageSeconds,
    allReadSince: runs.findLast((run) => isGood(run) && run.allReadSince !== null)?.allReadSince ?? null,
    isStale: counts && staleSeconds !== undefined && (ageSeconds === null || ageSeconds > staleSeconds),
    isBad: counts && !isGood(lastRun),
  }
}

/** Whether a verification found no problem in all that it was to look at. */
export function isGood({ verdict }: VerificationRun): boolean {
  return verdict === 'verified' || verdict === 'sampled'
}

/** Of a system's backups, the one that was begun last before this one is what it has grown from. */
function growthOf(record: BackupRecord, records: readonly BackupRecord[]): number | null {
  const { systemIdentifier } = record
  if (systemIdentifier === null) return null
  const begun = beginningOf(record)
  const earlier = records
    .filter((other) => other.systemIdentifier === systemIdentifier && beginningOf(other) < begun)
    .toSorted((left, right) => beginningOf(left) - beginningOf(right))
    .at(-1)
  return earlier === undefined ? null : record.bytes - earlier.bytes
}

/** When the backup was begun; when it does not say, when it was first verified. */
function beginningOf({ startTimeUtc, runs }: BackupRecord): number {
  return Date.parse(startTimeUtc ?? runs[0]?.startedAt ?? '')
}
