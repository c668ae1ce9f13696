import type { ReportedOptions } from './reported-options.js'
import type { FileTable } from './file-table/file-table.js'
import type { EvidenceRules, EvidenceTable } from './plain/evidence.js'

/** A verification whose manifest has been read; no file has been. */
export interface BegunVerification {
  /** The backup directory; absolute, without links. */
  readonly path: string
  /** The manifest's own. */
  readonly manifestChecksum: string
  readonly table: FileTable
  /** Whether the file of this row counts. */
  readonly isWanted: (row: number) => boolean
  /** To be filled with what is known, and what is to be done; `undefined` when files are not read one by one. */
  readonly evidence: BackupEvidence | undefined
}

/** Evidence on the files of a backup, before it was verified and, when that is done, after it. */
export interface BackupEvidence {
  readonly table: EvidenceTable
  readonly rules: EvidenceRules
}

/** Whoever keeps what is found, from one verification of a backup to the next. */
export interface VerificationKeeper {
  /** What it was asked for, for the report. */
  readonly asked: Pick<ReportedOptions, 'maxAgeSeconds' | 'subset'>
  /**
   * Is told what is verified as soon as that is known.
   *
   * @throws what then ends the verification
   */
  readonly begin: (verification: BegunVerification) => Promise<void>
}
