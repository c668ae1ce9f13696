import { PbManifestError } from '../../errors.js'
import { findVersion, newestVersion, oldestVersion } from '../../postgres/versions.js'
import type { ManifestVersion, WalRange } from '../model.js'

const MAX_UINT64 = 2n ** 64n - 1n
const MAX_TIMELINE = 2 ** 32 - 1

/** What to merge, into what, and what stands in the manifest besides the files. */
export interface MergeOptions {
  /** The fragments' files, in any order. */
  readonly fragments: readonly string[]
  /** The manifest to write; it appears whole or not at all, and replaces a file of that name. */
  readonly output: string
  /** How many workers there were: fragments 0 to N-1 must all be here. Default: as many as the highest number says. */
  readonly workers?: number
  /**
   * The server's major version, 13 to 19, for what depends on it: the manifest's version, and how LSNs are written. Default:
   * that of `pgdata`.
   */
  readonly serverVersion?: number
  /** Default: what servers of that version write, when it is known; else 2 with a system identifier and 1 without. */
  readonly manifestVersion?: ManifestVersion
  readonly systemIdentifier?: bigint
  /** A data directory, or a plain copy of one, to learn the rest from: pg_control, backup_label, backup history files. */
  readonly pgdata?: string
  /** The WAL ranges outright, newest timeline first. Default: worked out from the positions below. */
  readonly walRanges?: readonly WalRange[]
  readonly startLsn?: bigint
  readonly startTimeline?: number
  readonly endLsn?: bigint
  /** Default: the start timeline. */
  readonly endTimeline?: number
  /** Where timeline history files are, for a backup that ended on another timeline. Default: `pg_wal` in `pgdata`. */
  readonly historyDirectory?: string
  /** Take the whole lines of fragments without a seal, or with a cut one. Default false. */
  readonly allowUnsealed?: boolean
  readonly signal?: AbortSignal
}

/** A merge without a place to write to. */
export type MergeInput = Omit<MergeOptions, 'output'>

/** What was written. */
export interface MergeResult {
  readonly version: ManifestVersion
  readonly systemIdentifier: bigint | undefined
  readonly files: number
  /** The sum of the files' sizes. */
  readonly bytes: number
  readonly walRanges: readonly WalRange[]
  /** The manifest's own SHA-256, hexadecimal. */
  readonly checksum: string
  /** Sentences on what was passed over because of `allowUnsealed`, and on what of `pgdata` is of a version that is not known. */
  readonly warnings: readonly string[]
}

/**
 * Makes sure that a manifest can say what the caller says.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function checkMergeOptions(options: MergeInput): void {
  const { fragments, workers, walRanges = [] } = options
  if (fragments.length === 0) throw usage('there is no fragment to merge')
  if (workers !== undefined && !isWholeNumber(workers, Number.MAX_SAFE_INTEGER)) {
    throw usage('workers must be a whole number from 1')
  }
  if (options.serverVersion !== undefined && findVersion(options.serverVersion) === undefined) {
    const known = `${oldestVersion.major} to ${newestVersion.major}`
    throw usage(`PostgreSQL ${options.serverVersion} is not known, only ${known}`)
  }
  if (options.manifestVersion === 1 && options.systemIdentifier !== undefined) {
    throw usage('a manifest of version 1 has no system identifier')
  }
  if (!isUint64(options.systemIdentifier)) throw usage('a system identifier must be from 0 to 2^64-1')
  const lsns = [
    options.startLsn,
    options.endLsn,
    ...walRanges.flatMap((range) => [range.startLsn, range.endLsn]),
  ]
  if (!lsns.every(isUint64)) throw usage('an LSN must be from 0 to 2^64-1')
  const timelines = [options.startTimeline, options.endTimeline, ...walRanges.map((range) => range.timeline)]
  if (!timelines.every((timeline) => timeline === undefined || isWholeNumber(timeline, MAX_TIMELINE))) {
    throw usage('a timeline must be a whole number from 1 to 2^32-1')
  }
}

function isUint64(value: bigint | undefined): boolean {
  return value === undefined || (value >= 0n && value <= MAX_UINT64)
}

function isWholeNumber(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}
