import type { RunFacts } from '../run-facts.js'
import type { Problem, ProblemKind, VerifyReport } from '../verify/report.js'

/**
 * Why something was not repaired. Programs may rely on these words.
 *
 * - `copy-missing`, `copy-unreadable`: the copy does not have it, or it cannot be read there
 * - `copy-differs`: what the copy has is not what the manifest says: it is damaged there too, or of another backup
 * - `no-checksum`: the manifest has no checksum for it, or it is WAL of a version that is not known: nothing shows that the copy's is
 *   the right one
 * - `foreign`: `pg_control` of the copy fits the checksum, as every valid one does, but not the rest of the backup
 * - `in-the-way`: something is in its place that has content of its own
 * - `link`: it is behind a symbolic link that leads out of the backup, of which it was not said that it may be followed
 * - `write-failed`: the operating system refused to write it
 * - `not-tried`: left, because the disk is full or cannot be written
 */
export type ReasonKind =
  | 'copy-missing'
  | 'copy-unreadable'
  | 'copy-differs'
  | 'no-checksum'
  | 'foreign'
  | 'in-the-way'
  | 'link'
  | 'write-failed'
  | 'not-tried'

/** Why something was not repaired. */
export interface Reason {
  readonly kind: ReasonKind
  /** One line. */
  readonly message: string
  /** What to do about it: a sentence. */
  readonly hint?: string
}

/** One thing that is wrong with the backup and stands in its manifest, or that a server needs. */
export interface RepairItem {
  readonly what: 'file' | 'directory' | 'wal-segment' | 'link' | 'manifest'
  /** Relative to the backup directory. */
  readonly path?: string
  /** The name in hexadecimal, in place of `path` when it is not UTF-8. */
  readonly encodedPath?: string
  /** What is wrong with it; absent for links and the manifest. */
  readonly problem?: ProblemKind
  /** Its size in the manifest, in bytes; of files only. */
  readonly bytes?: number
  /** `repairable`: nothing was written, on request, and all that is needed was found good in the copy. */
  readonly outcome: 'repaired' | 'repairable' | 'not-repaired'
  /** Of what is not repaired. */
  readonly reason?: Reason
}

/** What is known of the copy as a whole. Its files are compared with the manifest one by one, whatever this says. */
export interface CopyIdentity {
  readonly directory: string
  /**
   * `same`: its manifest is the same; `other-backup`: it is another one; `other-cluster`: of another cluster, too; `unknown`: there
   * is none that can be read.
   */
  readonly backup: 'same' | 'other-backup' | 'other-cluster' | 'unknown'
}

/**
 * The result of a repair, as data.
 *
 * @see schemas/repair-report.schema.json
 */
export interface RepairReport extends RunFacts {
  readonly reportVersion: 1
  /** The backup directory, as it was given. */
  readonly directory: string
  readonly copy: CopyIdentity
  /** Whether anything was to be written. */
  readonly isDryRun: boolean
  /** The manifest that everything was compared with. */
  readonly manifest: {
    readonly path: string
    readonly checksum: string
    /** Whether it is the copy's, because the backup has none that can be read. */
    readonly isOfCopy: boolean
  }
  /**
   * - `verified`: the backup verifies: there was nothing to repair, or all was repaired and the backup was verified again
   * - `repairable`: it does not, and would after a repair, as far as can be told without writing; of dry runs only
   * - `failed`: it does not, and would not
   * - `partial`: as `verified`, of a backup of which all is ignored
   */
  readonly verdict: 'verified' | 'repairable' | 'failed' | 'partial'
  /** In the order of the problems: directories and files, then WAL, then the manifest. */
  readonly items: readonly RepairItem[]
  /** How many problems of each kind the backup had before. */
  readonly problemCountsBefore: VerifyReport['problemCounts']
  /**
   * What is wrong with the backup and in no item: files that the manifest does not list, which are never removed, and what no copy
   * can repair. When `isDryRun` is false, all that is wrong with the backup in the end.
   */
  readonly problems: readonly Problem[]
  /** The last verification: what it left out. */
  readonly notChecked: VerifyReport['notChecked']
  /** Bytes that were written. */
  readonly bytesWritten: number
  /** Wall time. */
  readonly seconds: number
}
