import type { WayGiver } from '../files/give-way.js'
import type { Pathname } from '../files/pathname.js'
import type { ControlFile } from '../postgres/control-file.js'
import type { ContentDecision } from './content/decide-content-rules.js'
import type { FirstTouches } from '../postgres/wal/block-touches.js'
import type { FileTable } from './file-table/file-table.js'
import type { IgnoreRules } from './ignore-rules.js'
import type { ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import type { ProblemList } from './problems.js'
import type { NotChecked, VerifyReport, Warning } from './report.js'
import type { StepTimer } from './step-timer.js'
import type { ThreadAhead } from '../threads/thread-ahead.js'

/** What the steps of a verification share. */
export interface VerifyContext {
  readonly options: VerifyOptions
  readonly manifest: ManifestContents
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly notChecked: NotChecked[]
  readonly warnings: Warning[]
  readonly timer: StepTimer
  readonly way: WayGiver
}

/** How much was checked. */
export type CheckTotals = Pick<
  VerifyReport,
  'filesChecked' | 'bytesChecked' | 'pages' | 'walRecords' | 'walBytes'
>

/**
 * Reads a small file of the backup.
 *
 * @param maxBytes - a longer one is not what it should be
 * @returns `undefined` when there is none
 * @throws {@link PbManifestError} `IO`
 */
export type ReadSmallBackupFile = (pathname: Pathname, maxBytes: number) => Buffer | undefined

/** The files of a backup, in whichever format: what a verification needs of them. */
export interface BackupFiles {
  readonly format: VerifyReport['format']
  readonly totals: CheckTotals
  /** Whether the backup has more than these files, as far as is known by now. */
  readonly isPart: boolean
  /** Is told of new rows of the table, from `first` to before `end`, while the manifest is still being read. */
  expect(first: number, end: number, isWanted: (row: number) => boolean): void
  /** Compares presence, kind, size and checksum of all files with the manifest. */
  compare(context: VerifyContext): Promise<void>
  /** To be called after {@link compare}. */
  readonly readSmallFile: ReadSmallBackupFile
  /**
   * Looks at the WAL that the manifest's ranges need. To be called after {@link compare}.
   *
   * @returns what it has of the pages that are not as they should be; `undefined` when it could not be read whole
   */
  checkWal(context: VerifyContext, control: ControlFile | undefined): Promise<FirstTouches | undefined>
  /**
   * Reports pages that are not as they should be. To be called last.
   *
   * @param touches - what {@link checkWal} has found
   */
  reportPages(context: VerifyContext, touches: FirstTouches | undefined): void
  /** What computed the checksums. */
  readonly engines: VerifyReport['engines']
  /** Ends the threads. */
  close(): Promise<void>
}

/** What a {@link BackupFiles} is made of. */
export interface BackupFilesOptions {
  readonly directory: string
  readonly options: VerifyOptions
  readonly jobs: number
  readonly content: ContentDecision
  /** The manifest's files; empty yet. */
  readonly table: FileTable
  readonly manifestBytes: number
  /** For the first of the threads. */
  readonly ahead: ThreadAhead | undefined
}
