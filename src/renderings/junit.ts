import { displayText } from '../files/display-text.js'
import { problemsOf } from '../verify/make-report.js'
import { type NotChecked, type ProblemKind, problemKinds, type VerifyReport } from '../verify/report.js'
import type { BackupOutcome, BackupsReport } from '../verify/several/verify-backups.js'
import { formatCount } from './format.js'
import { formatProblemCounts, formatSample, formatSummary } from './verify-text.js'

/** So many problems of a kind are named. */
const MAX_NAMED = 1000

/** What a test case came to: nothing of it is left when it passed. */
type CaseResult =
  | { readonly is: 'passed' }
  | { readonly is: 'skipped'; readonly message: string }
  | {
      readonly is: 'failure' | 'error'
      readonly type: string
      readonly message: string
      readonly text: string
    }

interface TestCase {
  readonly name: string
  readonly result: CaseResult
}

const passed: CaseResult = { is: 'passed' }

/** Kinds of problems that nobody can have found where this was not checked. */
const unseenKinds: Readonly<Record<NotChecked['what'], readonly ProblemKind[]>> = {
  'file-checksums': [
    'checksum-mismatch',
    'transient-mismatch',
    'changed-while-read',
    'page-checksum',
    'partial-page',
  ],
  'files-without-checksum': [],
  'ignored-paths': [],
  'unseen-files': ['missing'],
  'needed-directories': ['missing-directory'],
  'empty-directories': ['missing-directory'],
  'files-written-later': [],
  'reading-again': [],
  'unchanged-files': [],
  'files-left-for-later': [],
  'stored-bytes': [],
  'other-manifest': [],
  'other-wal-files': [],
  'control-file': ['control-file'],
  'backup-label': ['backup-label'],
  wal: ['wal-missing', 'wal-invalid'],
  'wal-records': ['wal-invalid'],
  'page-checksums': ['page-checksum'],
  'incremental-files': ['incremental-file'],
  'earlier-backups': [],
  'after-first-problem': problemKinds,
}

const signatureKinds: ReadonlySet<ProblemKind> = new Set([
  'signature-missing',
  'signature-invalid',
  'signer-not-allowed',
])

/**
 * What came of a verification as JUnit's XML, which Jenkins and GitLab show. A suite for each backup: its verdict, a case for
 * each kind of problem that was looked for, and what was not checked as skipped cases. So a case has the same name each
 * night.
 *
 * @see https://github.com/jenkinsci/xunit-plugin (junit-10.xsd), https://maven.apache.org/surefire (surefire-test-report.xsd)
 */
export function* formatReportAsJUnit(report: BackupsReport): Generator<string, void, undefined> {
  const suites = report.backups.map((outcome) => ({ outcome, cases: casesOf(outcome) }))
  const all = suites.flatMap(({ cases }) => cases)
  const total = (Date.parse(report.endedAt) - Date.parse(report.startedAt)) / 1000
  const { tests, failures, errors } = countCases(all)
  yield '<?xml version="1.0" encoding="UTF-8"?>\n'
  yield `<testsuites${attributes({ name: 'pbmanifest verify', time: seconds(total), tests, failures, errors })}>\n`
  for (const { outcome, cases } of suites) yield* formatSuite(report, outcome, cases)
  yield '</testsuites>\n'
}

function* formatSuite(
  { host, startedAt }: BackupsReport,
  outcome: BackupOutcome,
  cases: readonly TestCase[],
): Generator<string, void, undefined> {
  const report = 'report' in outcome ? outcome.report : undefined
  const start = report?.startedAt ?? startedAt
  const suite = {
    name: outcome.directory,
    ...countCases(cases),
    time: seconds(report?.seconds.total ?? 0),
    // A dateTime without a zone, as readers of it want.
    timestamp: start.slice(0, 19),
    hostname: report?.host ?? host,
  }
  yield `  <testsuite${attributes(suite)}>\n`
  if (report !== undefined) yield formatProperties(report)
  for (const { name, result } of cases) {
    // Steps overlap, so no kind of problem has a time of its own.
    const time = seconds(name === 'verdict' ? (report?.seconds.total ?? 0) : 0)
    const head = `    <testcase${attributes({ name, classname: 'pbmanifest.verify', time })}`
    yield result.is === 'passed' ? `${head}/>\n` : `${head}>\n${formatResult(result)}    </testcase>\n`
  }
  yield '  </testsuite>\n'
}

function formatResult(result: Exclude<CaseResult, { readonly is: 'passed' }>): string {
  if (result.is === 'skipped') return `      <skipped${attributes({ message: result.message })}/>\n`
  const { is, type, message, text } = result
  return `      <${is}${attributes({ message, type })}>${escapeXml(text)}</${is}>\n`
}

function formatProperties({
  verdict,
  path,
  pbmanifestVersion,
  startedAt,
  endedAt,
  backup,
  manifest,
}: VerifyReport): string {
  const known = {
    verdict,
    path,
    pbmanifestVersion,
    startedAt,
    endedAt,
    label: backup.label,
    backupStartTime: backup.startTime,
    serverMajorVersion: backup.serverMajorVersion,
    systemIdentifier: backup.systemIdentifier,
    manifestChecksum: manifest.checksum,
  }
  const properties = Object.entries(known).flatMap(([name, value]) =>
    value === null ? [] : `      <property${attributes({ name, value })}/>\n`,
  )
  return `    <properties>\n${properties.join('')}    </properties>\n`
}

function casesOf(outcome: BackupOutcome): TestCase[] {
  if ('error' in outcome) {
    const { code, message, details, hint } = outcome.error
    const text = [message, ...details, ...(hint === null ? [] : [hint])].join('\n')
    return [{ name: 'verdict', result: { is: 'error', type: code, message, text } }]
  }
  const { report } = outcome
  return [{ name: 'verdict', result: judge(report) }, ...kindCases(report), ...skippedCases(report)]
}

function judge(report: VerifyReport): CaseResult {
  const type = report.verdict
  const text = formatSummary(report)
  switch (type) {
    case 'verified':
    case 'sampled':
      return passed
    case 'partial':
      return { is: 'failure', type, message: 'only a part of the backup was verified', text }
    case 'failed':
      return { is: 'failure', type, message: formatProblemCounts(report.problemCounts), text }
    default:
      return type satisfies never
  }
}

function kindCases(report: VerifyReport): TestCase[] {
  const named = new Map<ProblemKind, string[]>()
  for (const { kind, message, detail } of problemsOf(report)) {
    const lines = named.get(kind) ?? []
    if (lines.length < MAX_NAMED) lines.push(detail === undefined ? message : `${message}: ${detail}`)
    named.set(kind, lines)
  }
  // Of a manifest that need not be signed, nobody looked for a signature.
  const kinds = problemKinds.filter((kind) => report.signature !== undefined || !signatureKinds.has(kind))
  return kinds.map((kind) => ({ name: kind, result: resultOfKind(report, kind, named.get(kind) ?? []) }))
}

function resultOfKind(report: VerifyReport, kind: ProblemKind, lines: readonly string[]): CaseResult {
  const count = report.problemCounts[kind]
  if (count > 0) {
    const more = count > lines.length ? [`and ${count - lines.length} more`] : []
    // A line each: their own line breaks are escaped.
    const text = [...lines.map(displayText), ...more].join('\n')
    return { is: 'failure', type: kind, message: formatCount(count, 'problem'), text }
  }
  const left = report.notChecked.find(({ what }) => unseenKinds[what].includes(kind))
  return left === undefined ? passed : { is: 'skipped', message: left.why }
}

/** What was not checked and belongs to no kind of problem, or not to one alone. */
function skippedCases(report: VerifyReport): TestCase[] {
  const { notChecked, verdict } = report
  const unread: TestCase[] =
    verdict === 'sampled'
      ? [{ name: 'not read this time', result: { is: 'skipped', message: formatSample(report) } }]
      : []
  const words = new Set(notChecked.map(({ what }) => what))
  const left = [...words].map((what): TestCase => {
    const reasons = notChecked.filter((entry) => entry.what === what).map(({ why }) => why)
    return { name: `not checked: ${what}`, result: { is: 'skipped', message: reasons.join('; ') } }
  })
  return [...unread, ...left]
}

function countCases(cases: readonly TestCase[]): Record<'tests' | 'failures' | 'errors' | 'skipped', number> {
  const count = (is: CaseResult['is']): number => cases.filter(({ result }) => result.is === is).length
  return {
    tests: cases.length,
    failures: count('failure'),
    errors: count('error'),
    skipped: count('skipped'),
  }
}

function seconds(value: number): string {
  return Math.max(0, value).toFixed(3)
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXml(displayText(String(value)))}"`)
    .join('')
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/**
 * A text as XML 1.0 has it. Control characters are written out before; what else XML has no way to say is two code points, and
 * halves of characters.
 */
function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[&<>"]/g, (character) => entities[character] ?? '')
    .replaceAll(/[\ufffe\uffff]/g, (character) =>
      character === '\ufffe' ? String.raw`\xef\xbf\xbe` : String.raw`\xef\xbf\xbf`,
    )
}
