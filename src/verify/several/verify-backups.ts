import { type ErrorCode, isPbManifestError, PbManifestError } from '../../errors.js'
import { explainShortage } from '../../files/system-error.js'
import { type RunFacts, startRun } from '../../run-facts.js'
import type { VerifyOptions, VerifyProgress } from '../options.js'
import type { Problem, VerifyReport } from '../report.js'
import { verifyBackup } from '../verify-backup.js'

/** Why there is no report of a backup, as data. */
export interface VerificationError {
  readonly code: ErrorCode
  readonly message: string
  /** Further lines. */
  readonly details: readonly string[]
  /** What to do about it, a sentence. */
  readonly hint: string | null
}

/** What came of one of several backups: a report, or the reason why there is none. */
export type BackupOutcome = {
  /** As it was given. */
  readonly directory: string
} & ({ readonly report: VerifyReport } | { readonly error: VerificationError })

/** The worst of several backups. Programs may rely on these words: that of a report, or `error` where there is none. */
export type OutcomeVerdict = VerifyReport['verdict'] | 'error'

/** From the worst to the best. What is known to be damaged is worse than what nobody could look at. */
export const outcomeVerdicts: readonly OutcomeVerdict[] = [
  'failed',
  'error',
  'partial',
  'sampled',
  'verified',
]

/**
 * The result of the verification of several backups, as data.
 *
 * @see schemas/verify-backups-report.schema.json
 */
export interface BackupsReport extends RunFacts {
  readonly reportVersion: 2
  /** The worst. */
  readonly verdict: OutcomeVerdict
  /** How many backups have which. */
  readonly counts: Readonly<Record<OutcomeVerdict, number>>
  /** In the order in which they were given. */
  readonly backups: readonly BackupOutcome[]
}

/** How to verify several backups; the options of `verifyBackup` count for each of them. */
export interface VerifyBackupsOptions extends Omit<
  VerifyOptions,
  'manifestPath' | 'signaturePath' | 'knownChecksums' | 'writtenArchives' | 'onProblem' | 'onProgress'
> {
  /** Is told each problem as soon as it is known. */
  readonly onProblem?: (problem: Problem, directory: string) => void
  /** Is told what came of each backup. */
  readonly onBackup?: (outcome: BackupOutcome) => void
  /** Is told how far the verification of each backup has come. */
  readonly onProgress?: (progress: VerifyProgress, directory: string) => void
  /** What verifies each of them. Default: {@link verifyBackup}. */
  readonly verify?: typeof verifyBackup
}

/**
 * Verifies several backups, one after the other. One that cannot be verified at all does not keep the others from it.
 *
 * @param directories - at least one
 * @returns the reports, also of backups that have problems or cannot be verified: look at `verdict`
 * @throws {@link PbManifestError} `USAGE` without directories, `ABORTED`
 * @example
 * ```ts
 * import { verifyBackups } from 'pbmanifest'
 *
 * const { verdict, backups } = await verifyBackups(['/backups/monday', '/backups/tuesday'])
 * for (const backup of backups) if ('error' in backup) console.log(backup.directory, backup.error.message)
 * if (verdict !== 'verified') throw new Error('not all of them can be trusted')
 * ```
 */
export async function verifyBackups(
  directories: readonly string[],
  options: VerifyBackupsOptions = {},
): Promise<BackupsReport> {
  if (directories.length === 0) throw new PbManifestError('USAGE', 'there is no backup to verify')
  const endRun = startRun()
  const backups: BackupOutcome[] = []
  for (const directory of directories) {
    const outcome = await verifyOne(directory, options)
    options.onBackup?.(outcome)
    backups.push(outcome)
  }
  return summarizeOutcomes(backups, endRun())
}

/** What came of these backups, together. */
export function summarizeOutcomes(backups: readonly BackupOutcome[], run: RunFacts): BackupsReport {
  const counts = { failed: 0, error: 0, partial: 0, sampled: 0, verified: 0 }
  for (const outcome of backups) counts[verdictOf(outcome)]++
  const verdict = outcomeVerdicts.find((verdict) => counts[verdict] > 0) ?? 'error'
  return { reportVersion: 2, ...run, verdict, counts, backups }
}

export function verdictOf(outcome: BackupOutcome): OutcomeVerdict {
  return 'report' in outcome ? outcome.report.verdict : 'error'
}

/** The report of one backup as that of several. */
export function backupsReportOf(report: VerifyReport): BackupsReport {
  const { pbmanifestVersion, host, startedAt, endedAt, directory } = report
  return summarizeOutcomes([{ directory, report }], { pbmanifestVersion, host, startedAt, endedAt })
}

/**
 * Why there is no report of a backup, as data.
 *
 * @returns `undefined` when that is no matter of the backup: a signal has ended it, or it is a bug of ours
 */
export function describeFailure(
  thrown: unknown,
  signal: AbortSignal | undefined,
): VerificationError | undefined {
  const error = explainShortage(thrown)
  if (!isPbManifestError(error) || error.code === 'ABORTED' || signal?.aborted === true) return undefined
  const { code, message, details, hint = null } = error
  return { code, message, details, hint }
}

async function verifyOne(directory: string, options: VerifyBackupsOptions): Promise<BackupOutcome> {
  const { onProblem, onProgress, onBackup: _, verify = verifyBackup, ...rest } = options
  try {
    const report = await verify(directory, {
      ...rest,
      ...(onProblem && { onProblem: (problem) => onProblem(problem, directory) }),
      ...(onProgress && { onProgress: (progress) => onProgress(progress, directory) }),
    })
    return { directory, report }
  } catch (thrown) {
    const error = describeFailure(thrown, options.signal)
    if (error === undefined) throw thrown
    return { directory, error }
  }
}
