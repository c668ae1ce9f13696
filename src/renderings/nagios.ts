import { displayText, shortenText } from '../files/display-text.js'
import { problemsOf } from '../verify/make-report.js'
import type { VerifyReport } from '../verify/report.js'
import {
  type BackupOutcome,
  type BackupsReport,
  type OutcomeVerdict,
  outcomeVerdicts,
  verdictOf,
} from '../verify/several/verify-backups.js'
import { formatCount } from './format.js'
import { formatProblemCounts, formatSample, formatSummary } from './verify-text.js'

/** The exit statuses of a monitoring plugin. */
export const nagiosStates = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const

/** What a plugin says of what it watches. */
export type NagiosState = keyof typeof nagiosStates

/** A core takes 4 kB in all. */
const MAX_CHARACTERS = 1500
/** So many of several backups are named. */
const MAX_NAMED = 10

const stateOfVerdict: Readonly<Record<OutcomeVerdict, NagiosState>> = {
  verified: 'ok',
  sampled: 'ok',
  partial: 'warning',
  failed: 'critical',
  error: 'unknown',
}

/**
 * One line as a monitoring plugin has it: `PBMANIFEST OK - WORDS | DATA`. No name in the words breaks out of it.
 *
 * @see https://www.monitoring-plugins.org/doc/guidelines.html
 */
export function formatNagiosLine(state: NagiosState, words: string, data: readonly string[] = []): string {
  // What is behind the bar is data.
  const shown = displayText(shortenText(words, MAX_CHARACTERS)).replaceAll('|', String.raw`\x7c`)
  const line = `PBMANIFEST ${state.toUpperCase()} - ${shown}`
  return data.length === 0 ? line : `${line} | ${data.join(' ')}`
}

/**
 * What came of a verification, in one line. OK: all backups verify. WARNING: only a part of one was seen. CRITICAL: one has
 * problems. UNKNOWN: one could not be verified at all, and none has problems.
 *
 * @param told - the state, where it is not that of the verdict, and what is to be said before all else
 */
export function formatReportForNagios(
  report: BackupsReport,
  told: { readonly state?: NagiosState; readonly remarks?: readonly string[] } = {},
): string {
  const { state = stateOfVerdict[report.verdict], remarks = [] } = told
  const [first, ...others] = report.backups
  const words = first === undefined || others.length > 0 ? describeAll(report) : describeOne(first)
  return formatNagiosLine(state, [...remarks, words].join('; '), performanceData(report))
}

function describeOne(outcome: BackupOutcome): string {
  if ('error' in outcome) return outcome.error.message
  const { report } = outcome
  switch (report.verdict) {
    case 'verified':
      return `backup successfully verified: ${formatSummary(report)}`
    case 'sampled':
      return `no problem was found, but not all files were read: ${formatSample(report)}; ${formatSummary(report)}`
    case 'partial':
      return `only a part of the backup was verified: ${formatSummary(report)}`
    case 'failed':
      return `backup verification failed: ${describeProblems(report)}`
    default:
      return report.verdict satisfies never
  }
}

function describeAll({ verdict, counts, backups }: BackupsReport): string {
  if (verdict === 'verified') return `${formatCount(backups.length, 'backup')} successfully verified`
  const numbers = outcomeVerdicts.filter((verdict) => counts[verdict] > 0)
  const bad = outcomeVerdicts
    .filter((verdict) => verdict !== 'verified' && verdict !== 'sampled')
    .flatMap((verdict) => backups.filter((outcome) => verdictOf(outcome) === verdict))
  const named = bad.slice(0, MAX_NAMED).map((outcome) => `"${outcome.directory}": ${describeOne(outcome)}`)
  const more = bad.length > named.length ? [`and ${bad.length - named.length} more`] : []
  const total = `of ${formatCount(backups.length, 'backup')}, ${numbers.map((verdict) => `${counts[verdict]} ${verdict}`).join(', ')}`
  return [total, ...named, ...more].join('; ')
}

function describeProblems(report: VerifyReport): string {
  const counts = formatProblemCounts(report.problemCounts)
  for (const { message } of problemsOf(report)) return `${counts}, first: ${message}`
  return counts
}

/** `'label'=value[unit];[warning];[critical];[minimum];[maximum]`. */
function performanceData({ backups }: BackupsReport): string[] {
  const reports = backups.flatMap((outcome) => ('report' in outcome ? outcome.report : []))
  const sum = (value: (report: VerifyReport) => number): number =>
    reports.reduce((total, report) => total + value(report), 0)
  const problems = sum(({ problemCounts }) =>
    Object.values(problemCounts).reduce((total, count) => total + count, 0),
  )
  return [
    `backups=${backups.length};;;0`,
    `unverified=${backups.length - reports.length};;;0`,
    `problems=${problems};;0;0`,
    `files=${sum(({ filesChecked }) => filesChecked)};;;0`,
    `size=${sum(({ bytesChecked }) => bytesChecked)}B;;;0`,
    `pages=${sum(({ pages }) => pages.checked)};;;0`,
    `time=${sum(({ seconds }) => seconds.total).toFixed(3)}s;;;0`,
  ]
}
