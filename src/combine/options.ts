import type { SyncMethod } from '../files/durable-file.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import type { TablespaceMapping } from '../target/tablespace-mapping.js'
import type { ChainProblem } from '../verify/chain/chain-report.js'
import type { Problem } from '../verify/report.js'
import type { CombineStep, CombineWarning, CopyMethod } from './report.js'

/** How far it is. */
export interface CombineProgress {
  /** Of `bytesTotal`, those whose file is done. */
  readonly bytesDone: number
  /** The sizes of all input files that are to be read. */
  readonly bytesTotal: number
}

/** How one file came into the result. */
export interface CombinedFile {
  /** Relative to the result. */
  readonly pathname: string
  /** From where its blocks come; `undefined`: it is whole from one backup. */
  readonly blocks: readonly { readonly directory: string; readonly blocks: number }[] | undefined
  /** The backup that it is whole from. */
  readonly directory: string | undefined
  /** Blocks that no backup has. */
  readonly zeroBlocks: number
}

/** What to combine, into what, and how. */
export interface CombineOptions {
  /** The full backup first, then each incremental one after the one that it builds on. One at least. */
  readonly directories: readonly string[]
  /** The directory to write; it must be empty or missing. */
  readonly output: string
  /** Where the tablespaces of the last backup go: each must be named, by where its link there leads. */
  readonly tablespaceMappings?: readonly TablespaceMapping[]
  /** Look at everything that needs no reading of files, and write nothing. Default false. */
  readonly dryRun?: boolean
  /**
   * Compare every file that is read with the manifest of its backup, and each backup's presence of files as `verifyChain` does.
   * Default true.
   */
  readonly verify?: boolean
  /** Whether to check the checksums of the result's data pages. Default `auto`: when all backups have them. */
  readonly pageChecksums?: 'auto' | 'off'
  /** Default `auto`. */
  readonly copyMethod?: CopyMethod
  /** Of the result's manifest. Default CRC32C. */
  readonly checksumAlgorithm?: ChecksumAlgorithm
  /** Whether the result gets a manifest. Default true. */
  readonly manifest?: boolean
  /** Whether to wait until everything is durable. Default true. */
  readonly sync?: boolean
  /** How. Default `fsync`; `syncfs` is for Linux only. */
  readonly syncMethod?: SyncMethod
  /** How many threads work at it, at least 1; more than 64 are taken as 64. Default: `os.availableParallelism()`. */
  readonly jobs?: number
  /** Stops it; what was written is removed, and the promise rejects with code `ABORTED`. */
  readonly signal?: AbortSignal
  /** Is told each problem as soon as it is known: one of a backup, or one between backups. */
  readonly onProblem?: (problem: Problem | ChainProblem, directory: string) => void
  /** Is told each warning as soon as it is known. */
  readonly onWarning?: (warning: CombineWarning) => void
  /** Is told often. */
  readonly onProgress?: (progress: CombineProgress) => void
  /** Is told each step when it begins. */
  readonly onStep?: (step: CombineStep) => void
  /** Is told of each file, in no order. */
  readonly onFile?: (file: CombinedFile) => void
}
