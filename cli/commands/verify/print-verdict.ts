import type { VerifyReport } from '../../../src/verify/report.js'
import type { Messages } from '../../messages.js'
import type { CommandContext } from '../command.js'
import {
  formatProblemCounts,
  formatSample,
  formatSummary,
  listHints,
} from '../../../src/renderings/verify-text.js'

/**
 * Says a problem, as soon as it is found.
 *
 * @param where - what its message begins with, when it does not say itself what it is about
 */
export function printProblem(
  messages: Messages,
  { message, detail }: { readonly message: string; readonly detail?: string | undefined },
  where = '',
): void {
  messages.error(where + message)
  if (detail !== undefined) messages.detail(detail)
}

/** What a backup is, in a line about one of several. */
export const verdictWords: Readonly<Record<VerifyReport['verdict'], string>> = {
  verified: 'successfully verified',
  failed: 'verification failed',
  partial: 'only partly verified',
  sampled: 'without a problem, but not all files were read',
}

/** What is said besides the verdict. */
interface VerdictWords {
  /** Only what went wrong. */
  readonly isQuiet?: boolean
  /** Whether the part of a backup that was seen is all that was wanted. */
  readonly isAskedFor?: boolean
  /** Whether options of `pbmanifest verify` that may help are named. */
  readonly hasHints?: boolean
}

/** Says what a verification came to, after its warnings. Success is for standard output, all else for standard error. */
export function printVerdict(
  { print, messages }: Pick<CommandContext, 'print' | 'messages'>,
  report: VerifyReport,
  { isQuiet = false, isAskedFor = false, hasHints = false }: VerdictWords = {},
): void {
  if (!isQuiet) for (const { message } of report.warnings) messages.warning(message)
  const verdict = describeVerdict(report)
  const isGood = report.verdict === 'verified' || report.verdict === 'sampled'
  if (isGood || (report.verdict === 'partial' && isAskedFor)) {
    if (!isQuiet) print(`${verdict}\n${formatSummary(report)}`)
    return
  }
  if (!isQuiet) messages.note(formatSummary(report))
  messages.note(verdict)
  if (hasHints) for (const hint of listHints(report)) messages.hint(hint)
}

function describeVerdict(report: VerifyReport): string {
  const { verdict, problemCounts } = report
  switch (verdict) {
    case 'verified':
      return 'backup successfully verified'
    case 'failed':
      return `backup verification failed: ${formatProblemCounts(problemCounts)}`
    case 'partial':
      // Nobody who looks for the words of success finds them.
      return 'only a part of the backup was verified; no problem was found in it'
    case 'sampled':
      return `no problem was found, but not all files were read: ${formatSample(report)}`
    default:
      return verdict satisfies never
  }
}
