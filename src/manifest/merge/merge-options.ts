import type { ManifestVersion, WalRange } from '../model.js'

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
