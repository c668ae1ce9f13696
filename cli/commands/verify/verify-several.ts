import type { VerifyOptions } from '../../../src/verify/options.js'
import {
  type BackupOutcome,
  type BackupsReport,
  type OutcomeVerdict,
  outcomeVerdicts,
  verifyBackups,
} from '../../../src/verify/several/verify-backups.js'
import {
  type ExitStatus,
  exitStatus,
  exitStatusOfErrorCode,
  exitStatusOfVerdict,
  worstStatus,
} from '../../exit-status.js'
import { formatCount } from '../../../src/renderings/format.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { usageError } from '../../usage-error.js'
import type { CommandContext } from '../command.js'
import { checkReportFiles } from '../../../src/renderings/report-files.js'
import type { verifyBackup } from '../../../src/verify/verify-backup.js'
import { type StateRequest, verifyWithState } from './verify-with-state.js'
import { printProblem, verdictWords } from './print-verdict.js'
import { type ReportOutput, tellReport } from './report-output.js'
import { formatDetails } from './verbose-text.js'
import { formatProblemCounts, formatSummary } from '../../../src/renderings/verify-text.js'

/** What of `verify` of several backups is no option of the verification. */
export interface SeveralOutput {
  readonly output: ReportOutput
  readonly isQuiet: boolean
  readonly hasProgress: boolean
  readonly isVerbose: boolean
  /** Where the reports are kept; `undefined`: nowhere. */
  readonly state: StateRequest | undefined
}

/** Runs `verify` of several backups, each by itself. */
export async function runVerifySeveral(
  context: CommandContext,
  { manifestPath, signaturePath, ...options }: Omit<VerifyOptions, 'onProblem' | 'onProgress'>,
  directories: readonly string[],
  { output, isQuiet, hasProgress, isVerbose, state }: SeveralOutput,
): Promise<ExitStatus> {
  if (manifestPath !== undefined) throw usageError('-m/--manifest-path is for one backup only')
  if (signaturePath !== undefined) throw usageError('--signature is for one backup only')
  if (directories.includes('-')) throw usageError('an archive on standard input is verified alone')
  const { messages, printJson, signal } = context
  const isText = output.kind === 'text'
  await checkReportFiles(output.files, directories)

  let statusOfKeeping: ExitStatus = exitStatus.done
  const verifyAndKeep: typeof verifyBackup | undefined =
    state &&
    (async (directory, options = {}) => {
      const { report, keep } = await verifyWithState(context, state, directory, options)
      statusOfKeeping = worstStatus([statusOfKeeping, await keep(exitStatus.done)])
      return report
    })
  let progress: ProgressReporter | undefined
  const report = await verifyBackups(directories, {
    ...options,
    ...(verifyAndKeep && { verify: verifyAndKeep }),
    signal,
    ...(hasProgress && {
      onProgress: (state) => (progress ??= new ProgressReporter(messages)).report(state),
    }),
    onBackup: (outcome) => {
      progress?.finish()
      progress = undefined
      if (!isText) return
      if (isVerbose && 'report' in outcome)
        for (const line of formatDetails(outcome.report)) messages.note(line)
      printOutcome(context, outcome, isQuiet)
    },
    ...(isText && {
      onProblem: (problem, directory) => printProblem(messages, problem, `backup at "${directory}": `),
    }),
  })

  const print = async (): Promise<void> => {
    if (isText) return printTotals(context, report, isQuiet)
    const { formatBackupsReportAsJson } = await import('../../../src/verify/format-report.js')
    printJson(formatBackupsReportAsJson(report))
  }
  const status = worstStatus([...report.backups.map(exitStatusOfOutcome), statusOfKeeping])
  return await tellReport(context, output, {
    report: async () => report,
    isPlural: true,
    status,
    print,
    stateDirectory: state?.directory,
  })
}

/** Says what came of one of several backups. */
export function printOutcome(
  { print, messages }: CommandContext,
  outcome: BackupOutcome,
  isQuiet: boolean,
): void {
  const subject = `backup at "${outcome.directory}"`
  if ('error' in outcome) {
    const { message, details, hint } = outcome.error
    messages.error(`${subject}: ${message}`)
    for (const detail of details) messages.detail(detail)
    if (hint !== null) messages.hint(hint)
    return
  }
  const { report } = outcome
  const hasFailed = report.verdict === 'failed'
  if (!isQuiet) for (const { message } of report.warnings) messages.warning(`${subject}: ${message}`)
  const parts = [
    ...(hasFailed ? [formatProblemCounts(report.problemCounts)] : []),
    ...(isQuiet ? [] : [formatSummary(report)]),
  ]
  const line = `${subject} ${verdictWords[report.verdict]}: ${parts.join('; ')}`
  if (report.verdict === 'verified' || report.verdict === 'sampled') {
    if (!isQuiet) print(line)
  } else if (hasFailed || !isQuiet) {
    messages.note(line)
  }
}

const totalWords: Readonly<Record<OutcomeVerdict, string>> = {
  ...verdictWords,
  failed: 'failed',
  error: 'could not be verified',
}

/** The last line: whether all verified, or how many came to what. */
export function printTotals(
  { print, messages }: CommandContext,
  report: BackupsReport,
  isQuiet: boolean,
): void {
  const { verdict, counts, backups } = report
  if (verdict === 'verified') {
    if (!isQuiet) print(`${formatCount(backups.length, 'backup')} successfully verified`)
    return
  }
  const parts = outcomeVerdicts
    .filter((verdict) => counts[verdict] > 0)
    .map((verdict) => `${counts[verdict]} ${totalWords[verdict]}`)
  const line = `of ${formatCount(backups.length, 'backup')}: ${parts.join(', ')}`
  if (verdict !== 'sampled') messages.note(line)
  else if (!isQuiet) print(line)
}

/** The status for one of several backups. */
export function exitStatusOfOutcome(outcome: BackupOutcome): ExitStatus {
  return 'report' in outcome
    ? exitStatusOfVerdict(outcome.report.verdict)
    : exitStatusOfErrorCode(outcome.error.code)
}
