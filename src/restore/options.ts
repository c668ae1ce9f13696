import type { StoreOptions } from '../source/store/store-settings.js'
import type { TablespaceMapping } from '../target/tablespace-mapping.js'
import type { VerifyOptions, VerifyProgress } from '../verify/options.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'

/** Where a backup is: a directory, in plain or in tar format, what a command gives, or an object store; see `verifyFetchedBackup` and `verifyStoredBackup`. */
export type RestoreSource =
  | { readonly directory: string }
  | { readonly fetchCommand: string; readonly fetchTimeoutSeconds?: number }
  | {
      /** `s3://BUCKET/PREFIX` */
      readonly address: string
      readonly store: StoreOptions
    }

/** How to restore a backup. */
export interface RestoreOptions extends Pick<
  VerifyOptions,
  'manifestPath' | 'noParseWal' | 'jobs' | 'signal'
> {
  /** Where the data directory goes: one that is empty, or is not there. */
  readonly directory: string
  /** Where tablespaces go. Default: where they were. */
  readonly tablespaceMappings?: readonly TablespaceMapping[]
  /** Write a manifest with checksums of this algorithm. Default: the manifest of the backup, byte for byte. */
  readonly manifestChecksums?: ChecksumAlgorithm
  /**
   * Go on with a restore that was ended: what is there and right stays, all else is written. Default false: nothing may be there.
   */
  readonly onlyMissing?: boolean
  /** Make everything durable. Default true. */
  readonly sync?: boolean
  /** When the restore fails, leave what there is. Default false. */
  readonly keepAfterFailure?: boolean
  /** Is told what is worth to know. */
  readonly onNotice?: (message: string) => void
  /** Is told in words that an object store is asked again, and why, once a second at most. */
  readonly onRetry?: (words: string) => void
  /** Is told often: how many bytes of the manifest's files were written. */
  readonly onProgress?: (progress: VerifyProgress) => void
}
