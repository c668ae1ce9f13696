import { problemsOf } from '../../verify/make-report.js'
import { type Problem, type ProblemKind, problemKinds, type VerifyReport } from '../../verify/report.js'
import type { BackupOutcome, OutcomeVerdict } from '../../verify/several/verify-backups.js'
import { formatBytes, formatCount } from '../format.js'
import { formatProblemCounts, formatSummary, listHints } from '../verify-text.js'
import type { BackupFiles } from './backup-files.js'
import { jsonMarkup, Markup, markup, shown } from './markup.js'
import { drawDamagedBlocks, drawTimes, drawTreemap } from './pictures.js'

/** So many of a backup are there without the script, and seen at once with it. */
const MAX_ROWS = 200
const MAX_LARGEST = 10

/** Apart, because the bundler takes a template with it apart for fear that it stands in a page. */
export const scriptEnd: Markup = new Markup('</script>')

const verdictWords: Readonly<Record<OutcomeVerdict, readonly [sign: string, words: string]>> = {
  verified: ['✓', 'backup successfully verified'],
  sampled: ['◐', 'no problem was found; not every file was read this time'],
  partial: ['◐', 'only a part of the backup was verified'],
  failed: ['✗', 'backup verification failed'],
  error: ['✗', 'could not be verified'],
}

type FailedOutcome = Extract<BackupOutcome, { readonly error: unknown }>

export function badge(verdict: OutcomeVerdict): Markup {
  return markup`<span class="badge ${verdict}">${verdictWords[verdict][0]} ${verdict}</span>`
}

function formatVerdict(verdict: OutcomeVerdict, words: string, more: string): Markup {
  return markup`<p class="verdict ${verdict}"><strong>${verdictWords[verdict][0]} ${words}</strong>${more}</p> `
}

export function formatFailure({ directory, error }: FailedOutcome, id: string): Markup {
  const { message, details, hint } = error
  return markup`<section class="backup" aria-labelledby="${id}">
    <h2 id="${id}">${directory}</h2>
    ${formatVerdict('error', verdictWords.error[1], message)}${details.map((detail) => markup`<p>${detail}</p>`)}${hint !== null && markup`<p>${hint}</p>`}
  </section> `
}

export function formatBackup(
  report: VerifyReport,
  id: string,
  files: BackupFiles | string,
  listed: readonly Problem[],
): Markup {
  const words = verdictWords[report.verdict][1]
  const counts = report.verdict === 'failed' ? `: ${formatProblemCounts(report.problemCounts)}` : ''
  return markup`<section class="backup" aria-labelledby="${id}">
    <h2 id="${id}">${report.directory}</h2>
    ${formatVerdict(report.verdict, words + counts, formatSummary(report))}${listHints(report).map((hint) => markup`<p>${hint}</p>`)}
    ${formatNotChecked(report)}${formatWarnings(report)}${formatProblems(report, id, listed)}${formatDamage(report, files)}${formatFacts(report)}${formatFiles(files)}
    <h3>Time by step</h3>
    <div class="scroll">${drawTimes(report)}</div>
  </section> `
}

function formatNotChecked({ notChecked }: VerifyReport): Markup {
  if (notChecked.length === 0)
    return markup`<h3>Not checked</h3>
      <p>Everything was checked.</p> `
  const items = notChecked.map(({ what, why, paths = [], count = 0 }) => {
    const more = count > paths.length ? [`and ${count - paths.length} more`] : []
    const names = [...paths.slice(0, 10), ...(paths.length > 10 ? [`and ${count - 10} more`] : more)]
    return markup`<dt>${what}</dt>
      <dd>${why}${names.length > 0 && markup`<span class="detail">${names.join(', ')}</span>`}</dd> `
  })
  return markup`<h3>Not checked</h3>
    <dl>${items}</dl> `
}

function formatWarnings({ warnings }: VerifyReport): Markup {
  if (warnings.length === 0) return markup``
  return markup`<h3>${formatCount(warnings.length, 'warning')}</h3>
    <ul>
      ${warnings.map(({ message }) => markup`<li>${message}</li>`)}
    </ul> `
}

export function countProblems({ problemCounts }: VerifyReport): number {
  return Object.values(problemCounts).reduce((sum, count) => sum + count, 0)
}

export function takeProblems(report: VerifyReport, most: number): Problem[] {
  const taken: Problem[] = []
  if (most <= 0) return taken
  for (const problem of problemsOf(report)) if (taken.push(problem) >= most) break
  return taken
}

function formatProblems(report: VerifyReport, id: string, listed: readonly Problem[]): Markup {
  const total = countProblems(report)
  if (total === 0) return markup``
  const kinds = problemKinds.filter((kind) => report.problemCounts[kind] > 0)
  const first = listed.slice(0, MAX_ROWS)
  const rows = first.map(
    ({ kind, message, detail }) =>
      markup`<tr>
        <td class="kind">${kind}</td>
        <td>${message}${detail !== undefined && markup`<span class="detail">${detail}</span>`}</td>
      </tr> `,
  )
  const said =
    first.length < total
      ? `${formatCount(total, 'problem')}, the first ${first.length} shown`
      : formatCount(total, 'problem')
  const data = listed.map(({ kind, message, detail }) => [
    kind,
    shown(message),
    ...(detail === undefined ? [] : [shown(detail)]),
  ])
  return markup`<h3>Problems</h3>
    ${formatFilter(report, id, kinds, total)}
    <p id="${id}-count" role="status">${said}</p>
    <div class="scroll">
      <table>
        <caption>
          In the order of the report; a JSON report has all of them
        </caption>
        <thead>
          <tr>
            <th scope="col">Kind</th>
            <th scope="col">Problem</th>
          </tr>
        </thead>
        <tbody id="${id}-rows">
          ${rows}
        </tbody>
      </table>
    </div>
    <script type="application/json" id="${id}-problems">${jsonMarkup(data)}${scriptEnd}
`
}

function formatFilter(
  { problemCounts }: VerifyReport,
  id: string,
  kinds: readonly ProblemKind[],
  total: number,
): Markup {
  const options = kinds.map(
    (kind) => markup`<option value="${kind}">${kind} (${problemCounts[kind]})</option>`,
  )
  return markup`<form
    class="filter"
    hidden
    data-problems="${id}-problems"
    data-body="${id}-rows"
    data-count="${id}-count"
    data-total="${total}"
    data-most="${MAX_ROWS}"
  >
    <label>Words <input type="search" name="words" autocomplete="off" /></label>
    <label
      >Kind
      <select name="kind">
        <option value="">all</option>
        ${options}
      </select></label
    >
  </form>`
}

function formatDamage(report: VerifyReport, files: BackupFiles | string): Markup {
  const drawing = drawDamagedBlocks(report, typeof files === 'string' ? undefined : files)
  return drawing === undefined
    ? markup``
    : markup`<h3>Where the damaged blocks are</h3>
        ${drawing} `
}

function formatFacts(report: VerifyReport): Markup {
  const { backup, manifest, options, pages } = report
  const facts: readonly (readonly [string, string | false])[] = [
    ['Path', report.path ?? 'an archive from standard input'],
    ['Format', report.format],
    ['Label', backup.label ?? false],
    ['Begun', backup.startTime ?? false],
    ['Taken from', backup.takenFrom ?? false],
    ['Start', backup.startLsn !== null && `${backup.startLsn}, timeline ${backup.startTimeline ?? '?'}`],
    ['Incremental to', backup.incrementalFrom !== null && backup.incrementalFrom.lsn],
    ['PostgreSQL', backup.serverMajorVersion !== null && String(backup.serverMajorVersion)],
    ['System identifier', backup.systemIdentifier ?? false],
    ['Manifest', manifest.path],
    ['Its SHA-256', manifest.checksum],
    [
      'Files',
      `${report.filesChecked} of ${manifest.files} compared by checksum, ${formatBytes(report.bytesChecked)} of ${formatBytes(manifest.bytes)}`,
    ],
    ['Checksums from', report.checksumsFrom],
    ['Data pages', pages.checked > 0 && `${pages.checked} checked, ${pages.mismatched} damaged`],
    [
      'WAL',
      report.walRecords > 0 && `${formatCount(report.walRecords, 'record')}, ${formatBytes(report.walBytes)}`,
    ],
    ['Signed by', report.signature ? `${report.signature.signer} (${report.signature.fingerprint})` : false],
    ['Ignored', options.ignore.length > 0 && options.ignore.join(', ')],
    ['Threads', String(options.jobs)],
  ]
  const items = facts.flatMap(([name, value]) =>
    value === false
      ? []
      : markup`<dt>${name}</dt>
          <dd>${value}</dd> `,
  )
  return markup`<h3>What was verified, and how</h3>
    <dl>${items}</dl> `
}

function formatFiles(files: BackupFiles | string): Markup {
  if (typeof files === 'string') {
    return markup`<h3>Where the bytes are</h3>
      <p>Not drawn: ${files}.</p> `
  }
  const largest = [...sumByTablespace(files.groups), ...files.groups.slice(0, MAX_LARGEST)]
  const rows = largest.map(
    ({ tablespace, name, bytes, total }) =>
      markup`<tr>
        <td>${tablespace}</td>
        <td>${name}</td>
        <td class="number">${formatBytes(bytes.main)}</td>
        <td class="number">${formatBytes(total - bytes.main)}</td>
        <td class="number">${formatBytes(total)}</td>
      </tr> `,
  )
  return markup`<h3>Where the bytes are</h3>
    <figure>
      <figcaption>
        By tablespace, and in it by relation (database/relation number) and fork, of the manifest.
      </figcaption>
      ${drawTreemap(files)}
    </figure>
    <div class="scroll">
      <table>
        <caption>
          Each tablespace, and the largest in them
        </caption>
        <thead>
          <tr>
            <th scope="col">Tablespace</th>
            <th scope="col">Relation or directory</th>
            <th scope="col" class="number">Data</th>
            <th scope="col" class="number">Other forks and files</th>
            <th scope="col" class="number">All</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div> `
}

function sumByTablespace(groups: BackupFiles['groups']): BackupFiles['groups'] {
  const sums = new Map<string, { main: number; total: number }>()
  for (const { tablespace, bytes, total } of groups) {
    const sum = sums.get(tablespace) ?? { main: 0, total: 0 }
    sums.set(tablespace, { main: sum.main + bytes.main, total: sum.total + total })
  }
  return [...sums].map(([tablespace, { main, total }]) => ({
    tablespace,
    name: 'all',
    bytes: { main, fsm: 0, vm: 0, init: 0, other: total - main },
    total,
  }))
}
