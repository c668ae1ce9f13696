import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { WayGiver } from '../files/give-way.js'
import type { ManifestFile } from '../manifest/model.js'
import { makeReport } from './make-report.js'
import { checkChecksums, type ChecksumTotals } from './check-checksums.js'
import { checkCluster } from './check-cluster.js'
import { checkWal } from './check-wal.js'
import { IgnoreRules } from './ignore-rules.js'
import { loadManifest, type ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import { ProblemList, StopAtFirstProblem } from './problems.js'
import type { NotChecked, VerifyReport } from './report.js'
import { scanDirectory } from './scan-directory.js'
import { StepTimer } from './step-timer.js'

/**
 * Verifies a backup directory against its manifest, in parallel, and reports all that is wrong with it.
 *
 * Never writes into the directory. Finds everything that `pg_verifybackup` finds (but for WAL records, which are not
 * read), for manifests of every major version.
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
  const timer = new StepTimer()
  const path = options.manifestPath ?? `${directory}/backup_manifest`
  const manifest = await timer.time('manifest', () => loadManifest(path, options.signal))
  const findings: Findings = {
    problems: new ProblemList(options.onProblem, options.exitOnError === true),
    totals: { filesChecked: 0, bytesChecked: 0 },
    notChecked: [],
  }
  try {
    await runSteps({ directory, options, jobs, timer, manifest, ...findings })
  } catch (error) {
    if (!(error instanceof StopAtFirstProblem)) throw error
    findings.notChecked.push({
      what: 'after-first-problem',
      why: 'the verification ends at the first problem',
    })
  }
  return makeReport({ directory, manifest, ...findings, seconds: timer.seconds() })
}

interface Findings {
  readonly problems: ProblemList
  readonly totals: ChecksumTotals
  readonly notChecked: NotChecked[]
}

interface Verification extends Findings {
  readonly directory: string
  readonly options: VerifyOptions
  readonly jobs: number
  readonly timer: StepTimer
  readonly manifest: ManifestContents
}

async function runSteps(verification: Verification): Promise<void> {
  const { directory, options, manifest, problems, timer, notChecked } = verification
  const ignore = new IgnoreRules(options.ignore ?? [])
  const way = new WayGiver(options.signal)
  noteWhatIsLeftOut(verification)
  const matching = await timer.time('scan', () =>
    scanDirectory({ directory, files: manifest.files, ignore, problems, way }),
  )
  if (options.skipChecksums !== true) await readFiles(verification, matching)
  const control = await timer.time('cluster', async () =>
    checkCluster({ directory, manifest, ignore, problems, notChecked }),
  )
  if (options.noParseWal === true) return
  const { walDirectory } = options
  await timer.time('wal', () =>
    checkWal({ directory, walDirectory, manifest, control, ignore, problems, way }),
  )
}

async function readFiles(verification: Verification, files: readonly ManifestFile[]): Promise<void> {
  const { directory, options, jobs, problems, timer, totals } = verification
  const { signal, onProgress } = options
  await timer.time('checksums', () =>
    checkChecksums({ directory, files, jobs, problems, signal, onProgress }, totals),
  )
}

function noteWhatIsLeftOut({ options, manifest, notChecked }: Verification): void {
  const withoutChecksum = [...manifest.files.values()].filter((file) => file.checksum === undefined).length
  if (options.ignore !== undefined && options.ignore.length > 0) {
    notChecked.push({ what: 'ignored-paths', why: `ignored on request: ${options.ignore.join(', ')}` })
  }
  if (options.skipChecksums === true) {
    notChecked.push({ what: 'file-checksums', why: 'skipped on request' })
  } else if (withoutChecksum > 0) {
    notChecked.push({
      what: 'files-without-checksum',
      why: `the manifest has no checksum for ${withoutChecksum} files`,
    })
  }
  if (options.noParseWal === true) notChecked.push({ what: 'wal', why: 'skipped on request' })
  else if (manifest.walRanges.length === 0)
    notChecked.push({ what: 'wal', why: 'the manifest has no WAL range' })
  else
    notChecked.push({ what: 'wal-records', why: 'this version looks at WAL segments and page headers only' })
  notChecked.push({ what: 'page-checksums', why: 'this version does not look at data pages' })
}
