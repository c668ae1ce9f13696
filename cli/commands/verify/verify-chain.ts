import type { VerifyOptions } from '../../../src/verify/options.js'
import { type ExitStatus, exitStatusOfVerdict } from '../../exit-status.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { usageError } from '../../usage-error.js'
import { printForNagios, type ReportOutput } from './report-output.js'
import { printProblem, verdictWords } from './print-verdict.js'
import { formatCount } from '../../../src/renderings/format.js'
import type { ChainReport } from '../../../src/verify/chain/chain-report.js'
import { formatDetails } from './verbose-text.js'
import { formatSummary } from '../../../src/renderings/verify-text.js'
import type { CommandContext } from '../command.js'

/** What of `verify --chain` is no option of the verification. */
export interface ChainOutput {
  readonly kind: ReportOutput['kind']
  readonly isQuiet: boolean
  readonly hasProgress: boolean
  readonly isVerbose: boolean
}

/** Runs `verify --chain`. */
export async function runVerifyChain(
  { print, printJson, messages, signal }: CommandContext,
  {
    format,
    manifestPath,
    walDirectory,
    signaturePath,
    ...options
  }: Omit<VerifyOptions, 'onProblem' | 'onProgress'>,
  directories: readonly string[],
  { kind, isQuiet, hasProgress, isVerbose }: ChainOutput,
): Promise<ExitStatus> {
  if (format === 'tar') throw usageError('cannot specify both --chain and -F tar')
  if (manifestPath !== undefined) throw usageError('cannot specify both --chain and -m/--manifest-path')
  if (walDirectory !== undefined) throw usageError('cannot specify both --chain and -w/--wal-path')
  if (signaturePath !== undefined) throw usageError('cannot specify both --chain and --signature')
  if (directories.length < 2) throw usageError('a chain has two backups at least')
  const { verifyChain } = await import('../../../src/verify/chain/verify-chain.js')

  let progress: ProgressReporter | undefined
  const report = await verifyChain(directories, {
    ...options,
    signal,
    ...(hasProgress && {
      onProgress: (state) => (progress ??= new ProgressReporter(messages)).report(state),
    }),
    onBackup: (backup) => {
      progress?.finish()
      progress = undefined
      if (isQuiet || kind !== 'text') return
      if (isVerbose) for (const line of formatDetails(backup)) messages.note(line)
      for (const { message } of backup.warnings)
        messages.warning(`backup at "${backup.directory}": ${message}`)
      const verdict = verdictWords[backup.verdict]
      const line = `backup at "${backup.directory}" ${verdict}: ${formatSummary(backup)}`
      if (backup.verdict === 'verified') print(line)
      else messages.note(line)
    },
    ...(kind === 'text' && {
      onProblem: (problem, directory) => {
        // Those between backups name the backup themselves.
        printProblem(messages, problem, 'directory' in problem ? '' : `backup at "${directory}": `)
      },
    }),
  })

  if (kind === 'nagios') {
    const { summarizeOutcomes } = await import('../../../src/verify/several/verify-backups.js')
    const outcomes = report.backups.map((backup) => ({ directory: backup.directory, report: backup }))
    const status = exitStatusOfVerdict(report.verdict)
    return await printForNagios(print, summarizeOutcomes(outcomes, report), status, remarksOn(report))
  }
  if (kind === 'json') {
    const { formatChainReportAsJson } = await import('../../../src/verify/format-report.js')
    printJson(formatChainReportAsJson(report))
  } else if (report.verdict === 'verified') {
    if (!isQuiet) print(`backup chain successfully verified\n${formatCombineVerdict(report)}`)
  } else if (report.verdict === 'partial') {
    if (!isQuiet) messages.note(formatCombineVerdict(report))
    messages.note('only a part of the backup chain was verified; no problem was found in it')
  } else {
    if (!isQuiet) messages.note(formatCombineVerdict(report))
    messages.note(`backup chain verification failed: ${formatChainProblemCount(report)}`)
  }
  return exitStatusOfVerdict(report.verdict)
}

/** What there is to say of the chain as one, for a plugin. */
function remarksOn(report: ChainReport): string[] {
  const [first] = report.problems
  if (first === undefined) return [formatCombineVerdict(report)]
  return [`${formatCount(report.problems.length, 'problem')} between the backups, first: ${first.message}`]
}

/** Whether to go on to pg_combinebackup, in one line. */
function formatCombineVerdict({ combine, notChecked, backups }: ChainReport): string {
  switch (combine) {
    case 'safe':
      return 'pg_combinebackup may combine these backups'
    case 'unsafe':
      return 'pg_combinebackup must not combine these backups'
    case 'unknown': {
      const left = backups.reduce((count, report) => count + report.notChecked.length, notChecked.length)
      return `whether pg_combinebackup may combine these backups is not known: ${formatCount(left, 'check')} left out`
    }
    default:
      return combine satisfies never
  }
}

/** How many problems the chain has, and where: `3 problems (2 in the backups, 1 between them)`. */
function formatChainProblemCount({ backups, problems }: ChainReport): string {
  const counts = backups.flatMap(({ problemCounts }) => Object.values(problemCounts))
  const within = counts.reduce((sum, count) => sum + count, 0)
  const total = formatCount(within + problems.length, 'problem')
  return `${total} (${within} in the backups, ${problems.length} between them)`
}
