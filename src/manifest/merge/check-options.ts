import { PbManifestError } from '../../errors.js'
import { findVersion, newestVersion, oldestVersion } from '../../postgres/versions.js'
import type { MergeInput } from './merge-options.js'

const MAX_UINT64 = 2n ** 64n - 1n
const MAX_TIMELINE = 2 ** 32 - 1

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
