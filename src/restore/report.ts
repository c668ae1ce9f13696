import type { RunFacts } from '../run-facts.js'
import type { NotChecked } from '../verify/report.js'

/**
 * The result of a restore, as data.
 *
 * @see schemas/restore-report.schema.json
 */
export interface RestoreReport extends RunFacts {
  readonly reportVersion: 1
  /** The directory of the backup, or the command that gave it. */
  readonly source: string
  /** Where it was restored to, absolute. */
  readonly directory: string
  /** Those with directories of their own, by the OID. */
  readonly tablespaces: readonly {
    readonly oid: number
    readonly location: string
    readonly directory: string
  }[]
  /** Files of the manifest, each compared with it while it was written. */
  readonly files: number
  /** Their bytes. */
  readonly bytes: number
  /** Files that no manifest lists and that were taken along: WAL, signal files. */
  readonly unlistedFiles: number
  readonly manifest: {
    /** Its own SHA-256. */
    readonly checksum: string
    /** Whether it is another one than that of the backup, because of what was asked for. */
    readonly isRewritten: boolean
  }
  /** WAL records that were read and are good. */
  readonly walRecords: number
  /** What was not checked. */
  readonly notChecked: readonly NotChecked[]
  /** Wall time. */
  readonly seconds: number
}
