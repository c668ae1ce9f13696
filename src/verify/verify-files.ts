import { WayGiver } from '../files/give-way.js'
import type { ManifestSource } from '../manifest/read-manifest.js'
import type { BackupFiles, VerifyContext } from './backup-files.js'
import { checkCluster } from './check-cluster.js'
import type { FileTable } from './file-table/file-table.js'
import type { ContentDecision } from './content/decide-content-rules.js'
import { listUncheckedContent } from './content/list-unchecked-content.js'
import { checkFilesWrittenLater } from './files-written-later.js'
import type { IgnoreRules } from './ignore-rules.js'
import { makeReport } from './make-report.js'
import { loadManifest, type ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import { ProblemList, StopAtFirstProblem } from './problems.js'
import type { NotChecked, VerifyReport, Warning } from './report.js'
import { StepTimer } from './step-timer.js'

/** What the files are compared with, and how. */
export interface Verification {
  /** The backup, as it was given. */
  readonly directory: string
  readonly options: VerifyOptions
  readonly ignore: IgnoreRules
  /** `undefined`: known when the files have been read. */
  readonly content: ContentDecision | undefined
  readonly source: ManifestSource
  /** Empty yet. */
  readonly table: FileTable
}

/**
 * The steps of a verification, the same for every format of a backup.
 *
 * @throws {@link PbManifestError}
 */
export async function verifyFiles(files: BackupFiles, verification: Verification): Promise<VerifyReport> {
  const { directory, options, ignore, content, source, table } = verification
  const timer = new StepTimer()
  const manifest = await timer.time('manifest', () =>
    loadManifest(
      source,
      table,
      (first, end) => files.expect(first, end, (row) => !isIgnored(row, table, ignore)),
      options.signal,
    ),
  )
  const problems = new ProblemList(options.onProblem, options.exitOnError === true)
  const notChecked = listWhatIsLeftOut(options, manifest)
  if (content !== undefined) notChecked.push(...listUncheckedContent(options, content))
  const warnings: Warning[] = []
  const way = new WayGiver(options.signal)
  try {
    await runSteps(files, { options, manifest, ignore, problems, notChecked, warnings, timer, way })
  } catch (error) {
    if (!(error instanceof StopAtFirstProblem)) throw error
    notChecked.push({ what: 'after-first-problem', why: 'the verification ends at the first problem' })
  }
  const { format, totals, engines } = files
  const seconds = timer.seconds()
  const isPartial = files.isPart || !hasWantedFile(table, ignore)
  return makeReport({
    directory,
    format,
    manifest,
    problems,
    totals,
    engines,
    notChecked,
    warnings,
    seconds,
    isPartial,
  })
}

/** Whether there is anything in the manifest that is not ignored. */
function hasWantedFile(table: FileTable, ignore: IgnoreRules): boolean {
  for (let row = 0; row < table.rows; row++) if (!isIgnored(row, table, ignore)) return true
  return false
}

/** The same as to ask the rules for the pathname, which for nearly all rows need not be made. */
function isIgnored(row: number, table: FileTable, ignore: IgnoreRules): boolean {
  const { beginnings } = ignore
  const mayBe = beginnings === undefined || table.beginsWithOne(row, beginnings)
  return mayBe && ignore.covers(table.pathname(row))
}

async function runSteps(files: BackupFiles, context: VerifyContext): Promise<void> {
  const { options, manifest, ignore, problems, notChecked, timer } = context
  await files.compare(context)
  const readSmallFile: typeof files.readSmallFile = (...file) => files.readSmallFile(...file)
  const control = await timer.time('cluster', async () =>
    checkCluster({ readSmallFile, manifest, ignore, problems, notChecked }),
  )
  const isWhole = !files.isPart && problems.count()['bad-archive'] === 0
  await checkFilesWrittenLater(readSmallFile, context, isWhole)
  const touches =
    options.noParseWal === true ? undefined : await timer.time('wal', () => files.checkWal(context, control))
  files.reportPages(context, touches)
}

function listWhatIsLeftOut(options: VerifyOptions, manifest: ManifestContents): NotChecked[] {
  const left: NotChecked[] = []
  const withoutChecksum = manifest.filesWithoutChecksum
  if (options.ignore !== undefined && options.ignore.length > 0) {
    left.push({ what: 'ignored-paths', why: `ignored on request: ${options.ignore.join(', ')}` })
  }
  if (options.skipChecksums === true) {
    left.push({ what: 'file-checksums', why: 'skipped on request' })
  } else if (options.knownChecksums !== undefined) {
    left.push({
      what: 'reading-again',
      why: 'checksums that were computed while the files were written are those of the manifest; the files were not read again',
    })
  } else if (withoutChecksum > 0) {
    left.push({
      what: 'files-without-checksum',
      why: `the manifest has no checksum for ${withoutChecksum} files`,
    })
  }
  if (options.noParseWal === true) left.push({ what: 'wal', why: 'skipped on request' })
  else if (manifest.walRanges.length === 0) left.push({ what: 'wal', why: 'the manifest has no WAL range' })
  return left
}
