import type { RunFacts } from '../run-facts.js'
import type { ChainProblem } from '../verify/chain/chain-report.js'
import type { CheckedPages, Problem } from '../verify/report.js'

/**
 * How files are put into the result that need no reconstruction.
 *
 * - `auto`: they are cloned where the file system can do that, else copied
 * - `copy`: they are read and written
 * - `clone`: their content is shared with the input, as long as neither is changed; an error where the file system cannot
 * - `copy-file-range`: the kernel copies them
 * - `link`: they are the same files as those of the input: what changes one changes the other
 */
export const copyMethods = ['auto', 'copy', 'clone', 'copy-file-range', 'link'] as const

/** How files are put into the result that need no reconstruction. */
export type CopyMethod = (typeof copyMethods)[number]

/** The steps of a combination, in their order. */
export const combineSteps = ['check', 'plan', 'combine', 'wal', 'manifest', 'sync'] as const

/** A step of a combination. */
export type CombineStep = (typeof combineSteps)[number]

/** Something that is wrong with one of the backups, as `verifyBackup` has it. */
export interface InputProblem {
  /** As it was given. */
  readonly directory: string
  readonly problem: Problem
}

/** Something to know, which does not keep the result from being good. */
export interface CombineWarning {
  /** The backup that it is about; absent: it is about none. */
  readonly directory?: string
  /** One line. */
  readonly message: string
  /** A sentence on what to do. */
  readonly hint?: string
}

/** Something that was not looked at, although it could be wrong. */
export interface CombineNotChecked {
  readonly what:
    | 'file-checksums'
    | 'files-without-checksum'
    | 'page-checksums'
    | 'wal'
    | 'control-file'
    | 'timeline-history'
  /** A sentence. */
  readonly why: string
}

/**
 * The result of a combination, as data.
 *
 * @see schemas/combine-report.schema.json
 */
export interface CombineReport extends RunFacts {
  readonly reportVersion: 1
  /** As they were given, the full backup first. */
  readonly directories: readonly string[]
  /** As it was given. Of a combination that failed or was not to be made, there is nothing in it. */
  readonly output: string
  readonly isDryRun: boolean
  /** `failed` when there are problems; `combinable`, of a dry run, when there are none as far as can be told without reading. */
  readonly verdict: 'combined' | 'combinable' | 'failed'
  /** In the backups: what was found before their files were read, in the order of the backups; then by file. */
  readonly problems: readonly InputProblem[]
  /** Between the backups. */
  readonly chainProblems: readonly ChainProblem[]
  readonly warnings: readonly CombineWarning[]
  readonly notChecked: readonly CombineNotChecked[]
  readonly manifest: { readonly path: string; readonly checksum: string } | null
  readonly copyMethod: CopyMethod
  /** Files of the result that are whole from one backup. */
  readonly wholeFiles: number
  /** Files of the result that were put together out of several. */
  readonly reconstructedFiles: number
  /** Bytes of the result, without its manifest. */
  readonly bytes: number
  /** Bytes of the inputs that were read. */
  readonly bytesRead: number
  /** Files of the inputs whose checksum was compared. */
  readonly filesChecked: number
  /** Blocks of files that were put together, by the backup that they are from, in the order of the backups. */
  readonly blocks: readonly { readonly directory: string; readonly blocks: number }[]
  /** Blocks of such files that no backup has. */
  readonly zeroBlocks: number
  readonly pages: CheckedPages
  readonly jobs: number
  /** Wall time of each step, and of all. */
  readonly seconds: Readonly<Record<CombineStep | 'total', number>>
}
