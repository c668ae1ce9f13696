import { createHash } from 'node:crypto'
import type { BackupStatus, StatusReport } from '../../state/status.js'
import { type BackupsReport, outcomeVerdicts, verdictOf } from '../../verify/several/verify-backups.js'
import { formatBytes, formatCount, formatSeconds } from '../format.js'
import { readBackupFiles } from './backup-files.js'
import {
  badge,
  countProblems,
  formatBackup,
  formatFailure,
  scriptEnd,
  takeProblems,
} from './backup-section.js'
import { Markup, markup } from './markup.js'
import { script } from './script.js'
import { style } from './style.js'

/** So many problems of a page are data for its script; a page of more would not open at ease. */
const MAX_PROBLEMS = 20_000

/**
 * What came of a verification as a page in one file: it loads nothing, and runs no script but its own. Pictures of the files are
 * drawn of the manifest, which is read again; a page without them says why.
 *
 * @param history - what is known of earlier verifications, or why it cannot be read
 */
export async function* formatReportAsHtml(
  report: BackupsReport,
  history?: StatusReport | string,
): AsyncGenerator<string, void, undefined> {
  const { backups } = report
  yield formatHead(report).text
  yield '<main>\n'
  if (backups.length > 1) yield formatOverview(report).text
  let room = MAX_PROBLEMS
  for (const [index, outcome] of backups.entries()) {
    const id = `b${index + 1}`
    if ('error' in outcome) {
      yield formatFailure(outcome, id).text
      continue
    }
    const files = await readBackupFiles(outcome.report)
    const listed = takeProblems(outcome.report, room)
    room -= listed.length
    yield formatBackup(outcome.report, id, files, listed).text
  }
  if (history !== undefined) yield formatHistory(history).text
  yield '</main>\n'
  yield markup`<footer><p>Made by pbmanifest ${report.pbmanifestVersion} on ${report.host}. This page is one file, and loads nothing.</p></footer>
<script>${new Markup(script)}${scriptEnd}
</body>
</html>
`.text
}

function formatHead({
  verdict,
  host,
  startedAt,
  endedAt,
  backups,
  pbmanifestVersion,
}: BackupsReport): Markup {
  const [first] = backups
  const subject =
    backups.length === 1 && first !== undefined ? first.directory : formatCount(backups.length, 'backup')
  const policy = `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}; base-uri 'none'; form-action 'none'`
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${verdict}: ${subject}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<header>
<a class="skip" href="#b1">Skip to the first backup</a>
<h1>Backup verification</h1>
<p class="soft">${moment(startedAt)} to ${moment(endedAt)}, on ${host}, by pbmanifest ${pbmanifestVersion}</p>
</header>
`
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

/** `2026-11-22 21:36:05 UTC`. */
function moment(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`
}

function formatOverview({ backups, counts }: BackupsReport): Markup {
  const numbers = outcomeVerdicts
    .filter((verdict) => counts[verdict] > 0)
    .map((verdict) => `${counts[verdict]} ${verdict}`)
  const rows = backups.map((outcome, index) => {
    const report = 'report' in outcome ? outcome.report : undefined
    return markup`<tr>
      <td><a href="#b${index + 1}">${outcome.directory}</a></td>
      <td>${badge(verdictOf(outcome))}</td>
      <td class="number">${report === undefined ? '' : countProblems(report)}</td>
      <td class="number">${report === undefined ? '' : formatBytes(report.manifest.bytes)}</td>
      <td class="number">${report === undefined ? '' : formatSeconds(report.seconds.total)}</td>
    </tr> `
  })
  return markup`<section aria-labelledby="all">
    <h2 id="all">${formatCount(backups.length, 'backup')}: ${numbers.join(', ')}</h2>
    <div class="scroll">
      <table>
        <caption>
          All backups of this run
        </caption>
        <thead>
          <tr>
            <th scope="col">Backup</th>
            <th scope="col">Verdict</th>
            <th scope="col" class="number">Problems</th>
            <th scope="col" class="number">Size</th>
            <th scope="col" class="number">Time</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
  </section> `
}

const WIDTH = 960
const HEIGHT = 160
/** So many of the newest backups are drawn, and so many of them are in the table. */
const MAX_DRAWN = 90
const MAX_LISTED = 15

/**
 * What is known from verifications of the past: the size of each backup, and how its last one ended.
 *
 * @param status - of a state directory, or why it cannot be read
 */
function formatHistory(status: StatusReport | string): Markup {
  const body = typeof status === 'string' ? markup`<p>Not drawn: ${status}.</p>` : drawHistory(status)
  return markup`<section aria-labelledby="history"><h2 id="history">History</h2>
${body}</section>
`
}

function drawHistory({ backups, stateDirectory, damaged }: StatusReport): Markup {
  const known = backups.toSorted((one, other) => (timeOf(one) < timeOf(other) ? -1 : 1))
  const drawn = known.slice(-MAX_DRAWN)
  const largest = Math.max(...drawn.map(({ bytes }) => bytes), 1)
  const step = Math.min(WIDTH / Math.max(drawn.length, 1), 60)
  const bars = drawn.map((backup, index) => {
    const height = Math.max(2, (backup.bytes / largest) * (HEIGHT - 10))
    const title = `${timeOf(backup)}, ${backup.path}: ${formatBytes(backup.bytes)}, ${backup.lastRun.verdict}`
    return markup`<g><title>${title}</title><rect class="run-${backup.lastRun.verdict}" x="${(index * step + 1).toFixed(1)}" y="${(HEIGHT - height).toFixed(1)}" width="${Math.max(step - 2, 1).toFixed(1)}" height="${height.toFixed(1)}" /></g>
`
  })
  const rows = known
    .slice(-MAX_LISTED)
    .toReversed()
    .map(
      (
        backup,
      ) => markup`<tr><td>${timeOf(backup)}</td><td>${backup.path}</td><td class="number">${formatBytes(backup.bytes)}</td><td class="number">${formatGrowth(backup.growthBytes)}</td><td>${backup.lastRun.verdict}</td><td class="number">${backup.lastRun.problems}</td><td>${shortTime(backup.lastRun.endedAt)}</td></tr>
`,
    )
  return markup`<figure><figcaption>${formatCount(drawn.length, 'backup')} by size, the oldest on the left, of the state in ${stateDirectory}.</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Sizes of backups, and how their last verification ended; the newest are in the table below">
${bars}</svg>
<ul class="legend">${legend(drawn)}</ul></figure>
${damaged.length > 0 && markup`<p>${formatCount(damaged.length, 'part')} of the state cannot be read.</p>`}
<div class="scroll"><table><caption>The newest backups, and how their last verification ended</caption><thead><tr><th scope="col">Begun</th><th scope="col">Backup</th><th scope="col" class="number">Size</th><th scope="col" class="number">Growth</th><th scope="col">Verdict</th><th scope="col" class="number">Problems</th><th scope="col">Verified</th></tr></thead><tbody>
${rows}</tbody></table></div>
`
}

function legend(backups: readonly BackupStatus[]): Markup[] {
  const verdicts = [...new Set(backups.map(({ lastRun }) => lastRun.verdict))]
  return verdicts.map(
    (verdict) =>
      markup`<li><svg viewBox="0 0 16 16" aria-hidden="true"><rect class="run-${verdict}" width="16" height="16" /></svg> ${verdict}</li>`,
  )
}

/** When it was begun; when it does not say, when it was verified. */
function timeOf({ startTimeUtc, lastRun }: BackupStatus): string {
  return shortTime(startTimeUtc ?? lastRun.startedAt)
}

function shortTime(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 16)}`
}

function formatGrowth(bytes: number | null): string {
  if (bytes === null) return ''
  return bytes < 0 ? `-${formatBytes(-bytes)}` : `+${formatBytes(bytes)}`
}
