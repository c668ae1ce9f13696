import type { Pathname } from '../files/pathname.js'
import type { PagesInQuestion } from './content/pages-in-question.js'
import type { VerifyReport } from './report.js'
import type { ReadSmallBackupFile, VerifyContext } from './verify-context.js'
import type { BackupEvidence } from './plain/evidence.js'
import type { OpenedWal } from './wal/wal-source.js'

/** How much of the files was checked. */
export interface FileTotals {
  readonly filesChecked: number
  readonly bytesChecked: number
  readonly pagesChecked: number
}

/** A backup in whichever format: what a verification needs of it. */
export interface VerifiedBackup {
  readonly format: VerifyReport['format']
  readonly totals: FileTotals
  /** Whether the backup has more than what is seen of it, as far as is known by now. */
  readonly isPart: boolean
  /** Is told of new rows of the table, from `first` to before `end`, while the manifest is still being read. */
  expect(first: number, end: number, isWanted: (row: number) => boolean): void
  /** Compares presence, kind, size and checksum of all files with the manifest. */
  compare(context: VerifyContext): Promise<void>
  /** To be called after {@link compare}. */
  readonly readSmallFile: ReadSmallBackupFile
  /** The names of what it has in pg_wal, as far as they are known. To be called after {@link compare}. */
  listWal(): readonly Pathname[]
  /** Pages that are not as they should be. To be looked at after {@link compare}. */
  readonly pages: PagesInQuestion
  /** The WAL that it has itself; `undefined`, and said so, when it is in another part. To be called after {@link compare}. */
  openWal(context: VerifyContext): OpenedWal | undefined
  /** What is known of its files from before; after {@link compare}, from now. `undefined` when nobody keeps it. */
  readonly evidence?: BackupEvidence | undefined
  /** What rests on that, and what was left. */
  readonly sample?: VerifyReport['sample']
  /** What computed the checksums. */
  readonly engines: VerifyReport['engines']
  /** Ends the threads. */
  close(): Promise<void>
}

/** Of a backup of which no file was read yet. */
export const noTotals: FileTotals = { filesChecked: 0, bytesChecked: 0, pagesChecked: 0 }
