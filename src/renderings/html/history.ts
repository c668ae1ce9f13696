import type { BackupStatus, StatusReport } from '../../state/status.js'
import { formatBytes, formatCount } from '../format.js'
import { type Markup, markup } from './markup.js'

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
export function formatHistory(status: StatusReport | string): Markup {
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
