import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { WayGiver } from '../files/give-way.js'
import { type ManifestSource, openManifest } from '../manifest/read-manifest.js'
import { formatLsn } from '../postgres/lsn.js'
import { makeReport } from './make-report.js'
import { ChecksumCheck } from './checksum-check.js'
import { FileTable } from './file-table/file-table.js'
import { type ContentDecision, decideContentRules } from './content/decide-content-rules.js'
import { checkCluster } from './check-cluster.js'
import { IgnoreRules } from './ignore-rules.js'
import { loadManifest, type ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import { ProblemList, StopAtFirstProblem } from './problems.js'
import type { NotChecked, VerifyReport } from './report.js'
import { scanDirectory } from './scan-directory.js'
import { StepTimer } from './step-timer.js'
import { checkWal, type WalTotals } from './wal/check-wal.js'

/**
 * Verifies a backup directory against its manifest, in parallel, and reports all that is wrong with it.
 *
 * Never writes into the directory. Finds everything that `pg_verifybackup` finds, for manifests of every major version.
 *
 * @returns the report, also of a backup that has problems: look at `verdict`
 * @throws {@link PbManifestError} when there can be no report: `BAD_MANIFEST`, `IO`, `USAGE` or `ABORTED`
 * @example
 * ```ts
 * import { verifyBackup } from 'pbmanifest'
 *
 * const report = await verifyBackup('/backups/monday', { jobs: 4 })
 * for (const problem of report.problems) console.log(problem.kind, problem.message)
 * if (report.verdict === 'failed') throw new Error('the backup cannot be trusted')
 * ```
 */
export async function verifyBackup(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const jobs = options.jobs ?? availableParallelism()
  if (!Number.isSafeInteger(jobs) || jobs < 1)
    throw new PbManifestError('USAGE', 'jobs must be a whole number from 1')
  const ignore = new IgnoreRules(options.ignore ?? [])
  const content = decideContentRules(directory, options, ignore)
  const source = openManifest(options.manifestPath ?? `${directory}/backup_manifest`)
  const { size } = source.file.stats
  const table = new FileTable(size)
  const { signal, onProgress } = options
  const checksums =
    options.skipChecksums === true
      ? undefined
      : new ChecksumCheck({ directory, jobs, signal, onProgress, content: content.rules }, table, size)
  try {
    return await verify({ directory, jobs, options, source, table, ignore, content, checksums })
  } finally {
    await checksums?.close()
  }
}

interface Verification {
  readonly directory: string
  readonly jobs: number
  readonly options: VerifyOptions
  readonly source: ManifestSource
  readonly table: FileTable
  readonly ignore: IgnoreRules
  readonly content: ContentDecision
  /** `undefined` when files are not to be read. */
  readonly checksums: ChecksumCheck | undefined
}

async function verify(verification: Verification): Promise<VerifyReport> {
  const { directory, options, source, table, ignore, content, checksums } = verification
  const timer = new StepTimer()
  const manifest = await timer.time('manifest', () =>
    loadManifest(
      source,
      table,
      (first, end) => checksums?.publish(first, end, (pathname) => !ignore.covers(pathname)),
      options.signal,
    ),
  )
  checksums?.tellWalRanges(manifest.walRanges)
  const problems = new ProblemList(options.onProblem, options.exitOnError === true)
  const notChecked = listWhatIsLeftOut(options, manifest, content)
  const walTotals = { walRecords: 0, walBytes: 0 }
  try {
    await runSteps(verification, { manifest, problems, notChecked, walTotals, timer })
  } catch (error) {
    if (!(error instanceof StopAtFirstProblem)) throw error
    notChecked.push({ what: 'after-first-problem', why: 'the verification ends at the first problem' })
  }
  const totals = checksums?.totals ?? noTotals
  const engines = checksums?.engines ?? {}
  return makeReport({
    directory,
    manifest,
    problems,
    totals: { ...totals, ...walTotals },
    engines,
    notChecked,
    seconds: timer.seconds(),
  })
}

const noTotals = { filesChecked: 0, bytesChecked: 0, pages: { checked: 0, mismatched: 0, newer: 0 } }

interface Findings {
  readonly manifest: ManifestContents
  readonly problems: ProblemList
  readonly notChecked: NotChecked[]
  readonly walTotals: WalTotals
  readonly timer: StepTimer
}

async function runSteps(
  { directory, jobs, options, table, ignore, checksums }: Verification,
  findings: Findings,
): Promise<void> {
  const { manifest, problems, notChecked, walTotals: totals, timer } = findings
  const way = new WayGiver(options.signal)
  const states = await timer.time('scan', () => scanDirectory({ directory, table, ignore, problems, way }))
  await timer.time('checksums', async () => checksums?.finish(states, problems))
  const control = await timer.time('cluster', async () =>
    checkCluster({ directory, manifest, ignore, problems, notChecked }),
  )
  if (options.noParseWal === true) return
  const { walDirectory, signal } = options
  const usePartial = options.partialWal === true
  const where = { directory, walDirectory, usePartial, jobs, signal }
  await timer.time('wal', () =>
    checkWal({ ...where, manifest, control, ignore, problems, notChecked, totals, way }),
  )
}

function listWhatIsLeftOut(
  options: VerifyOptions,
  manifest: ManifestContents,
  { whyNoPageChecksums, incrementalFrom }: ContentDecision,
): NotChecked[] {
  const left: NotChecked[] = []
  const withoutChecksum = manifest.filesWithoutChecksum
  if (options.ignore !== undefined && options.ignore.length > 0) {
    left.push({ what: 'ignored-paths', why: `ignored on request: ${options.ignore.join(', ')}` })
  }
  if (options.skipChecksums === true) {
    left.push({ what: 'file-checksums', why: 'skipped on request' })
  } else if (withoutChecksum > 0) {
    left.push({
      what: 'files-without-checksum',
      why: `the manifest has no checksum for ${withoutChecksum} files`,
    })
  }
  if (options.noParseWal === true) left.push({ what: 'wal', why: 'skipped on request' })
  else if (manifest.walRanges.length === 0) left.push({ what: 'wal', why: 'the manifest has no WAL range' })
  if (whyNoPageChecksums !== undefined) left.push({ what: 'page-checksums', why: whyNoPageChecksums })
  if (incrementalFrom !== undefined) {
    if (options.skipChecksums === true) left.push({ what: 'incremental-files', why: 'skipped on request' })
    const { lsn, timeline } = incrementalFrom
    const why = `it builds on the backup that starts at ${formatLsn(lsn)} on timeline ${timeline}: see --chain`
    left.push({ what: 'earlier-backups', why })
  }
  return left
}
