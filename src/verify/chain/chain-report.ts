import type { RunFacts } from '../../run-facts.js'
import type { ExpectedAndFound, VerifyReport } from '../report.js'

/**
 * What can be wrong between the backups of a chain. Programs may rely on these words.
 *
 * - `control-file`, `backup-label`: cannot be read
 * - `manifest-version`: of a manifest that does not support incremental backups
 * - `cluster`: the backups are of different clusters, or of different major versions
 * - `data-checksums`: the last backup has data checksums, and one before it has none
 * - `order`: the first is not a full backup, or a later one is
 * - `predecessor`: a backup does not build on the one before it
 * - `timeline`: the WAL of a backup does not lead to the next one
 * - `missing-file`: the file of which an incremental file holds the changed pages is not in the backup before
 */
export const chainProblemKinds = [
  'control-file',
  'backup-label',
  'manifest-version',
  'cluster',
  'data-checksums',
  'order',
  'predecessor',
  'timeline',
  'missing-file',
] as const

/** What kind of problem there is between backups. */
export type ChainProblemKind = (typeof chainProblemKinds)[number]

/** What is known of a problem between backups, as values. Each is there where it has a meaning. */
interface ChainFacts {
  /** That the backup before it should have and lacks, relative to its directory; of `missing-file`. */
  readonly path?: string
  /** The same in hexadecimal, in place of `path` when the name is not UTF-8. */
  readonly encodedPath?: string
  /** The backup before it, where there is a problem with that one's start, WAL or files. */
  readonly previousDirectory?: string
  readonly systemIdentifier?: ExpectedAndFound<string>
  readonly catalogVersion?: ExpectedAndFound<number>
  /** Where the backup before it starts. */
  readonly startTimeline?: ExpectedAndFound<number>
  readonly startLsn?: ExpectedAndFound<string>
}

/** Something that is wrong between the backups of a chain. */
export interface ChainProblem extends ChainFacts {
  readonly kind: ChainProblemKind
  /** The directory of the backup that does not fit those before it, as it was given. */
  readonly directory: string
  /** One line, in the words of `pg_combinebackup` where it has words for it. */
  readonly message: string
}

/** Something of the chain that was not looked at, although it could be wrong. */
export interface ChainNotChecked {
  readonly what: 'control-file' | 'timeline-history' | 'after-first-problem'
  /** A sentence. */
  readonly why: string
}

/**
 * The result of the verification of a chain, as data.
 *
 * @see schemas/verify-chain-report.schema.json
 */
export interface ChainReport extends RunFacts {
  readonly reportVersion: 2
  /** `failed` when there is a problem in one of the backups, or between them; else `partial` when that is one's verdict. */
  readonly verdict: VerifyReport['verdict']
  /**
   * Whether `pg_combinebackup` with these directories, in this order, gives a good backup, or `unknown` when something that
   * decides about it was not checked. It looks at the order of its inputs, not at their files.
   */
  readonly combine: 'safe' | 'unsafe' | 'unknown'
  /** Between the backups, in their order. */
  readonly problems: readonly ChainProblem[]
  /** Of each backup, in the order in which they were given. */
  readonly backups: readonly VerifyReport[]
  readonly notChecked: readonly ChainNotChecked[]
}
