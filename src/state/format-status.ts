import { displayText } from '../files/display-text.js'
import { version } from '../version.js'
import { type BackupStatus, isThere, type StatusReport } from './status.js'

/** What a monitoring plugin says, and its exit status. */
export interface NagiosStatus {
  /** One line. */
  readonly line: string
  readonly status: 0 | 1 | 2 | 3
}

const nagiosWords = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const

/**
 * The status as Nagios wants it: CRITICAL when a backup has problems, WARNING when one was not verified for too long, UNKNOWN
 * when there is none, or a part of the state cannot be read.
 *
 * @see https://www.monitoring-plugins.org/doc/guidelines.html
 */
export function formatStatusForNagios(report: StatusReport): NagiosStatus {
  const { bad, stale, damaged, staleSeconds } = report
  const there = report.backups.filter(isThere)
  const status = bad > 0 ? 2 : stale > 0 ? 1 : damaged.length > 0 || there.length === 0 ? 3 : 0
  const said = [
    ...there.filter(({ isBad }) => isBad).map((backup) => `${backup.path} ${backup.lastRun.verdict}`),
    ...there
      .filter(({ isBad, isStale }) => isStale && !isBad)
      .map(({ path, lastGoodAt }) => `${path} not verified since ${lastGoodAt ?? 'it is known'}`),
    ...(damaged.length > 0 ? [`state damaged: ${damaged.length}`] : []),
  ]
  const summary = `${there.length} backups, ${bad} bad, ${stale} stale`
  const ages = there.flatMap(({ ageSeconds }) => ageSeconds ?? [])
  const data = [
    `backups=${there.length};;;0`,
    `bad=${bad};;0;0`,
    `stale=${stale};0;;0`,
    ...(ages.length > 0 ? [`oldest=${Math.round(Math.max(...ages))}s;${staleSeconds ?? ''};;0`] : []),
    `size=${there.reduce((sum, { bytes }) => sum + bytes, 0)}B;;;0`,
  ]
  // What is behind the bar is data, and a line has one.
  const words = displayText([summary, ...said].join('; ')).replaceAll('|', '?')
  return { line: `PBMANIFEST ${nagiosWords[status]} - ${words} | ${data.join(' ')}`, status }
}

type Sample = (backup: BackupStatus) => number | null

/** Names, what they mean, and their value. A backup of which it is not known has no sample. */
const metrics: readonly (readonly [name: string, help: string, sample: Sample])[] = [
  [
    'verified',
    'Whether the last verification found no problem.',
    ({ lastRun }) => Number(lastRun.verdict !== 'failed' && lastRun.verdict !== 'partial'),
  ],
  [
    'last_verification_timestamp_seconds',
    'When the last verification ended.',
    ({ lastRun }) => seconds(lastRun.endedAt),
  ],
  [
    'last_good_verification_timestamp_seconds',
    'When the last verification without a problem ended.',
    ({ lastGoodAt }) => seconds(lastGoodAt),
  ],
  [
    'all_read_since_timestamp_seconds',
    'Since when each file was read once.',
    ({ allReadSince }) => seconds(allReadSince),
  ],
  ['problems', 'Problems that the last verification found.', ({ lastRun }) => lastRun.problems],
  ['bytes', 'Size of the files in the manifest.', ({ bytes }) => bytes],
  ['files', 'Files in the manifest.', ({ files }) => files],
  ['growth_bytes', 'Bytes more than the backup before it has.', ({ growthBytes }) => growthBytes],
]

/**
 * The status in Prometheus's text format, for the textfile collector; of the backups that are there.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function formatStatusForPrometheus(report: StatusReport): string {
  const there = report.backups.filter(isThere)
  const families = metrics.map(([name, help, sample]) => {
    const samples = there.flatMap((backup) => {
      const value = sample(backup)
      return value === null ? [] : `pbmanifest_backup_${name}${labelsOf(backup)} ${value}\n`
    })
    return samples.length === 0 ? '' : `${head(`backup_${name}`, help)}${samples.join('')}`
  })
  const state = `${head('state_damaged', 'Backups of which the state cannot be read.')}pbmanifest_state_damaged ${report.damaged.length}\n`
  const build = `${head('status_info', 'The version of pbmanifest that wrote this.')}pbmanifest_status_info{version="${version}"} 1\n`
  return [...families, state, build].join('')
}

function head(name: string, help: string): string {
  return `# HELP pbmanifest_${name} ${help}\n# TYPE pbmanifest_${name} gauge\n`
}

function seconds(time: string | null): number | null {
  return time === null ? null : Date.parse(time) / 1000
}

function labelsOf({ path, label, systemIdentifier }: BackupStatus): string {
  const labels = { path, label: label ?? '', system_identifier: systemIdentifier ?? '' }
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeValue(value)}"`)
  return `{${pairs.join(',')}}`
}

/** Characters that nobody sees are written out: a name may hold anything, also what is no UTF-8 or obeyed by a terminal. */
function escapeValue(value: string): string {
  return displayText(value).toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"')
}
