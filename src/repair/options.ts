import type { StoreOptions } from '../source/store/store-settings.js'
import type { VerifyOptions, VerifyProgress } from '../verify/options.js'
import type { CopyIdentity, RepairItem } from './report.js'

/** Where a link of the backup leads, or is to lead: said by the caller, because the place is outside of the backup. */
export interface StatedLink {
  /** `pg_wal`, or `pg_tblspc/OID`. */
  readonly pathname: string
  /** An absolute path. */
  readonly directory: string
}

/** What is being done, and how far it is. */
export interface RepairProgress extends VerifyProgress {
  readonly step: 'verify' | 'repair' | 'verify again'
}

/** How to repair a backup. Those of a verification mean the same. */
export interface RepairOptions extends Pick<
  VerifyOptions,
  | 'manifestPath'
  | 'allowedSigners'
  | 'signerIdentity'
  | 'signaturePath'
  | 'ignore'
  | 'noParseWal'
  | 'jobs'
  | 'signal'
> {
  /**
   * Another copy of the backup: a directory, in plain or in tar format, what a command gives, see `verifyFetchedBackup`, or an object
   * store, see `verifyStoredBackup`. Nothing is written there.
   */
  readonly from:
    | string
    | { readonly fetchCommand: string; readonly fetchTimeoutSeconds?: number }
    | {
        /** `s3://BUCKET/PREFIX` */
        readonly address: string
        readonly store: StoreOptions
      }
  /** The manifest was made of that of the copy, which so is of the same backup. Default: when both have the same. */
  readonly isSameBackup?: boolean
  /** Repair; else only say what would be repaired. Default false. */
  readonly write?: boolean
  /** Where the backup's own manifest cannot be read, trust that of the copy, and put it in its place. Default false. */
  readonly manifestFromCopy?: boolean
  /** Take a file for which the manifest has no checksum by its size alone. Default false. */
  readonly trustSize?: boolean
  /**
   * Links that lead out of the backup and may be written through; they are made where they are missing or lead elsewhere.
   * Default none: what is behind such a link may be a server's.
   */
  readonly links?: readonly StatedLink[]
  /** Is told of which backup the copy is, before anything is taken from it. */
  readonly onCopy?: (copy: CopyIdentity) => void
  /** Is told of each thing that was, would be or could not be repaired, as soon as that is known. */
  readonly onItem?: (item: RepairItem) => void
  /** Is told in words that an object store is asked again, and why, once a second at most. */
  readonly onRetry?: (words: string) => void
  /** Is told often. */
  readonly onProgress?: (progress: RepairProgress) => void
}
