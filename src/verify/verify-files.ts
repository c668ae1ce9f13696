import { Yielder } from '../files/yielder.js'
import type { ManifestSource } from '../manifest/read-manifest.js'
import { type ReadSmallBackupFile, unheard, type VerifyContext } from './verify-context.js'
import type { VerificationKeeper } from './plain/evidence.js'
import type { VerifiedBackup } from './verified-backup.js'
import { checkCluster } from './check-cluster.js'
import type { DemandedSignature } from './demand-signature.js'
import type { FileTable } from './file-table/file-table.js'
import { type ContentDecision, listUncheckedContent } from './content/decide-content-rules.js'
import { checkLeftOutFiles } from './left-out-files.js'
import type { IgnoreRules } from './ignore-rules.js'
import { makeReport } from './make-report.js'
import { loadManifest, type ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import type { ReportedOptions } from './reported-options.js'
import { ProblemList, StopAtFirstProblem } from './problems.js'
import { type NotChecked, type VerifyReport, verifySteps, type Warning } from './report.js'
import type { VerificationShare } from './share.js'
import type { RunFacts } from '../run-facts.js'
import { StepClock } from '../step-clock.js'
import { readBackupFacts } from './backup-facts.js'
import type { WalTotals } from './wal/check-wal.js'
import type { ControlFile } from '../postgres/control-file.js'
import type { FirstTouches } from '../postgres/wal/block-touches.js'

/** What the files are compared with, and how. */
export interface Verification {
  /** The backup, as it was given. */
  readonly directory: string
  /** Absolute, without links; `null`: it is an archive that comes in alone. */
  readonly path: string | null
  /** Which archive that was said to be. */
  readonly archive?: string | undefined
  /** What its parts come from. */
  readonly fetchCommand?: string | undefined
  /** Is called at the end. */
  readonly endRun: () => RunFacts
  readonly options: VerifyOptions
  readonly jobs: number
  readonly ignore: IgnoreRules
  /** `undefined`: known when the files have been read. */
  readonly content: ContentDecision | undefined
  readonly source: ManifestSource
  /** `undefined`: the manifest need not be signed. */
  readonly signature: DemandedSignature | undefined
  /** Empty yet. */
  readonly table: FileTable
  readonly keeper?: VerificationKeeper | undefined
  /** Besides the options. */
  readonly asked?: Pick<ReportedOptions, 'checksums'>
  /** `undefined`: all of the backup. */
  readonly share?: VerificationShare | undefined
  readonly onManifest?: ((manifest: ManifestContents) => void) | undefined
}

/**
 * The steps of a verification, the same for every format of a backup.
 *
 * @throws {@link PbManifestError}
 */
export async function verifyFiles(backup: VerifiedBackup, verification: Verification): Promise<VerifyReport> {
  const { directory, path, archive, fetchCommand, options, jobs, ignore, content, source, table, share } =
    verification
  const clock = new StepClock(verifySteps, options.onStep)
  const isWanted = (row: number): boolean => !isIgnored(row, table, ignore)
  const manifest = await clock.time('manifest', () =>
    loadManifest(source, table, (first, end) => backup.expect(first, end, isWanted), options.signal),
  )
  verification.onManifest?.(manifest)
  if (path !== null) {
    const manifestChecksum = manifest.summary.checksum
    const { evidence } = backup
    await verification.keeper?.begin({ path, manifestChecksum, table, isWanted, evidence })
  }
  share?.begin(table)
  const problems = new ProblemList(options.onProblem, options.exitOnError === true, share?.onProblem)
  const notChecked = listWhatIsLeftOut(options, manifest)
  if (content !== undefined) notChecked.push(...listUncheckedContent(options, content))
  const warnings: Warning[] = []
  const yielder = new Yielder(options.signal)
  const context = { options, jobs, manifest, ignore, problems, notChecked, warnings, clock, yielder, share }
  const found: Found = {
    wal: noWal(),
    pages: { mismatched: 0, newer: 0, replayed: 0 },
  }
  const signature = verification.signature?.conclude()
  try {
    if (signature?.problem !== undefined && share?.hasCluster !== false)
      problems.add(signature.problem, { phase: 'signature', key: [] })
    await runSteps(backup, context, found, path === null ? undefined : directory)
  } catch (error) {
    if (!(error instanceof StopAtFirstProblem)) throw error
    notChecked.push({ what: 'after-first-problem', why: 'the verification ends at the first problem' })
  }
  const { format, engines } = backup
  const { pagesChecked, ...files } = backup.totals
  const totals = { ...files, pages: { checked: pagesChecked, ...found.pages }, ...found.wal }
  const { sample } = backup
  notChecked.push(...listSampled(sample))
  const seconds = clock.seconds()
  const isPartial = backup.isPart || !hasWantedFile(table, ignore)
  return makeReport({
    run: verification.endRun(),
    directory,
    path,
    options,
    jobs,
    archive,
    fetchCommand,
    backup: readBackupFacts((...file) => backup.readSmallFile(...file), ignore, manifest.summary),
    format,
    manifest,
    signature: signature?.signature,
    problems,
    totals,
    engines,
    notChecked,
    warnings,
    seconds,
    isPartial,
    sample,
    asked: { ...verification.asked, ...verification.keeper?.asked },
  })
}

/** What of the files was not read, because it was read before or will be. */
function listSampled(sample: VerifyReport['sample']): NotChecked[] {
  const left: NotChecked[] = []
  if (sample === undefined) return left
  const { rested, left: later } = sample
  if (rested.files > 0) {
    left.push({
      what: 'unchanged-files',
      why: `${rested.files} files of ${rested.bytes} bytes were not read again: the file system says that they are unchanged since they were found good, the first of them at ${rested.readSince}`,
    })
  }
  if (later.files > 0) {
    left.push({
      what: 'files-left-for-later',
      why: `${later.files} files of ${later.bytes} bytes were never read yet, and are left to later runs`,
    })
  }
  return left
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

/** What the steps behind the files have found. */
interface Found {
  readonly wal: WalTotals
  pages: Omit<VerifyReport['pages'], 'checked'>
}

async function runSteps(
  backup: VerifiedBackup,
  context: VerifyContext,
  found: Found,
  directory: string | undefined,
): Promise<void> {
  await backup.compare(context)
  const isOthers = context.share?.hasCluster === false
  // Then the cluster and its WAL are looked at for this share's pages only, and what is wrong with them is another's to report.
  if (isOthers && backup.pages.isEmpty) return
  const seen = isOthers ? unheard(context) : context
  const { options, manifest, ignore, problems, notChecked, clock } = seen
  const readSmallFile: ReadSmallBackupFile = (...file) => backup.readSmallFile(...file)
  const control = await clock.time('cluster', async () =>
    checkCluster({ readSmallFile, manifest, ignore, problems, notChecked }),
  )
  if (!isOthers) {
    const isWhole = !backup.isPart && problems.count()['bad-archive'] === 0
    const segmentSize = control?.walSegmentSize
    await checkLeftOutFiles({ ...context, backup, directory, isWhole, segmentSize })
  }
  const touches =
    options.noParseWal === true
      ? undefined
      : await clock.time('wal', () => readWal(backup, seen, control, isOthers ? noWal() : found.wal))
  found.pages = backup.pages.report(touches, context)
}

function noWal(): WalTotals {
  return { walRecords: 0, walBytes: 0 }
}

/**
 * Looks at the WAL that the manifest's ranges need.
 *
 * @returns what it has of the pages that are not as they should be; `undefined` when it could not be read whole
 */
async function readWal(
  backup: VerifiedBackup,
  context: VerifyContext,
  control: ControlFile | undefined,
  totals: WalTotals,
): Promise<FirstTouches | undefined> {
  const { walDirectory, signal } = context.options
  const wal =
    walDirectory === undefined
      ? backup.openWal(context)
      : await (await import('./tar/open-wal-path.js')).openWalPath(walDirectory, context)
  if (wal === undefined) return undefined
  try {
    const { checkWal } = await import('./wal/check-wal.js')
    return await checkWal({
      ...context,
      source: wal.source,
      readSmallFile: (...file) => backup.readSmallFile(...file),
      signal,
      maxRate: context.options.maxRate,
      control,
      totals,
      wanted: backup.pages.wanted(control),
    })
  } finally {
    await wal.close()
  }
}

function listWhatIsLeftOut(options: VerifyOptions, manifest: ManifestContents): NotChecked[] {
  const left: NotChecked[] = []
  const withoutChecksum = manifest.filesWithoutChecksum
  if (options.ignore !== undefined && options.ignore.length > 0) {
    const paths = options.ignore.slice(0, 100)
    const why = `ignored on request: ${options.ignore.join(', ')}`
    left.push({ what: 'ignored-paths', why, paths, count: options.ignore.length })
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
