import { PbManifestError } from '../../errors.js'
import { startRun } from '../../run-facts.js'
import type { VerifyOptions, VerifyProgress } from '../options.js'
import type { NotChecked, Problem, VerifyReport } from '../report.js'
import { detectBackupFormat } from '../detect-backup-format.js'
import { withNotChecked } from '../make-report.js'
import { verifyBackup } from '../verify-backup.js'
import { checkTimelines, findChainFaults, findMissingFiles } from './chain-consistency.js'
import { readChainMember } from './chain-member.js'
import type { ChainNotChecked, ChainProblem, ChainReport } from './chain-report.js'

/** How to verify a chain; the options of `verifyBackup` count for each of its backups. */
export interface VerifyChainOptions extends Omit<
  VerifyOptions,
  'format' | 'manifestPath' | 'walDirectory' | 'onProblem' | 'onProgress'
> {
  /** Is told each problem as soon as it is known: one of a backup, or one between backups. */
  readonly onProblem?: (problem: Problem | ChainProblem, directory: string) => void
  /** Is told the report of each backup. */
  readonly onBackup?: (report: VerifyReport) => void
  /** Is told how far the verification of each backup has come. */
  readonly onProgress?: (progress: VerifyProgress, directory: string) => void
}

/**
 * Verifies a full backup and the incremental backups that build on it, each by itself and together, and says whether
 * `pg_combinebackup` would make a good backup of them. That does not compare its inputs with their manifests.
 *
 * @param directories - the full backup first, then each incremental one after the one that it builds on; two at least
 * @returns the report, also of a chain that has problems: look at `verdict`
 * @throws {@link PbManifestError} as `verifyBackup`
 * @example
 * ```ts
 * import { verifyChain } from 'pbmanifest'
 *
 * const report = await verifyChain(['/backups/sunday', '/backups/monday', '/backups/tuesday'])
 * if (report.combine !== 'safe') throw new Error('these must not be combined')
 * ```
 */
export async function verifyChain(
  directories: readonly string[],
  options: VerifyChainOptions = {},
): Promise<ChainReport> {
  if (directories.length < 2) throw new PbManifestError('USAGE', 'a chain has two backups at least')
  for (const directory of directories) requirePlain(directory)
  const endRun = startRun()
  const isFirstEnough = options.exitOnError === true
  const backups: VerifyReport[] = []
  const problems: ChainProblem[] = []
  let notChecked: readonly ChainNotChecked[] = []
  for (const directory of directories) {
    if (isFirstEnough && hasProblem(backups)) break
    const report = await verifyMember(directory, options)
    options.onBackup?.(report)
    backups.push(report)
  }
  if (isFirstEnough && hasProblem(backups)) {
    notChecked = [{ what: 'after-first-problem', why: 'the verification ends at the first problem' }]
  } else {
    notChecked = await compareMembers(backups, options, (problem) => {
      problems.push(problem)
      options.onProblem?.(problem, problem.directory)
    })
  }
  const verdict = problems.length > 0 ? 'failed' : worstVerdict(backups)
  const combine = verdict === 'failed' ? 'unsafe' : judge(backups, notChecked)
  return { reportVersion: 2, ...endRun(), verdict, combine, problems, backups, notChecked }
}

/** pg_combinebackup takes no other, and the links between backups are read from their files. */
function requirePlain(directory: string): void {
  if (detectBackupFormat(directory) === 'plain') return
  throw new PbManifestError('USAGE', `backup at "${directory}" is in tar format, which a chain cannot be`, {
    hint: 'pg_combinebackup takes plain backups only. Unpack it, or verify it without --chain.',
  })
}

async function verifyMember(directory: string, options: VerifyChainOptions): Promise<VerifyReport> {
  const { onProblem, onProgress, onBackup: _, ...rest } = options
  const report = await verifyBackup(directory, {
    ...rest,
    format: 'plain',
    ...(onProblem && { onProblem: (problem) => onProblem(problem, directory) }),
    ...(onProgress && { onProgress: (progress) => onProgress(progress, directory) }),
  })
  // They are looked at here.
  return withNotChecked(
    report,
    report.notChecked.filter(({ what }) => what !== 'earlier-backups'),
  )
}

async function compareMembers(
  backups: readonly VerifyReport[],
  { signal }: VerifyChainOptions,
  onProblem: (problem: ChainProblem) => void,
): Promise<ChainNotChecked[]> {
  const notChecked: ChainNotChecked[] = []
  const members = backups.map((report) =>
    readChainMember(report, onProblem, (unknown) => notChecked.push(unknown)),
  )
  for (const problem of findChainFaults(members)) onProblem(problem)
  notChecked.push(...checkTimelines(members, onProblem))
  for (const problem of await findMissingFiles(members, signal)) onProblem(problem)
  return notChecked
}

function worstVerdict(backups: readonly VerifyReport[]): VerifyReport['verdict'] {
  const verdicts = new Set(backups.map(({ verdict }) => verdict))
  return (['failed', 'partial', 'sampled'] as const).find((verdict) => verdicts.has(verdict)) ?? 'verified'
}

function hasProblem(backups: readonly VerifyReport[]): boolean {
  return backups.some(({ verdict }) => verdict === 'failed')
}

/** Whether what was left out could make the result of pg_combinebackup a bad one. WAL and page checksums could not. */
const decides: Readonly<Record<NotChecked['what'], boolean>> = {
  'file-checksums': true,
  'files-without-checksum': true,
  'ignored-paths': true,
  'control-file': true,
  'backup-label': true,
  wal: false,
  'wal-records': false,
  'page-checksums': false,
  'incremental-files': true,
  'unseen-files': true,
  'needed-directories': false,
  'empty-directories': false,
  'files-written-later': false,
  'other-wal-files': false,
  'other-manifest': false,
  'reading-again': true,
  'unchanged-files': true,
  'files-left-for-later': true,
  'stored-bytes': true,
  'earlier-backups': true,
  'after-first-problem': true,
}

function judge(
  backups: readonly VerifyReport[],
  notChecked: readonly ChainNotChecked[],
): ChainReport['combine'] {
  const isDoubtful = backups.some((report) => report.notChecked.some(({ what }) => decides[what]))
  return isDoubtful || notChecked.length > 0 ? 'unknown' : 'safe'
}
