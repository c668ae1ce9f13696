import { formatMetrics } from '../prometheus-text.js'
import { type BackupStatus, isGood, isThere, type StatusReport } from '../state/status.js'
import { version } from '../version.js'
import { formatNagiosLine, type NagiosState } from './nagios.js'
import { formatCount } from './format.js'

/** So many backups are named. */
const MAX_NAMED = 10

/**
 * The status as Nagios wants it: CRITICAL when a backup has problems or could not be verified, WARNING when one was not verified for too long, UNKNOWN
 * when there is none, or a part of the state cannot be read.
 */
export function formatStatusForNagios(report: StatusReport): {
  readonly line: string
  readonly state: NagiosState
} {
  const { bad, stale, failed, damaged, staleSeconds } = report
  const there = report.backups.filter(isThere)
  const said = [
    ...failed.map(({ path, error }) => `"${path}" could not be verified: ${error.message}`),
    ...there.filter(({ isBad }) => isBad).map(({ path, lastRun }) => `"${path}" ${lastRun.verdict}`),
    ...there
      .filter(({ isBad, isStale }) => isStale && !isBad)
      .map(({ path, lastGoodAt }) => `"${path}" not verified since ${lastGoodAt ?? 'it is known'}`),
  ]
  const more = said.length > MAX_NAMED ? [`and ${said.length - MAX_NAMED} more`] : []
  const words = [
    `${formatCount(there.length, 'backup')}, ${bad} bad, ${stale} stale`,
    ...(failed.length > 0 ? [`${failed.length} could not be verified`] : []),
    ...(damaged.length > 0 ? [`the state of ${damaged.length} cannot be read`] : []),
    ...said.slice(0, MAX_NAMED),
    ...more,
  ]
  const ages = there.flatMap(({ ageSeconds }) => ageSeconds ?? [])
  const data = [
    `backups=${there.length};;;0`,
    `bad=${bad};;0;0`,
    `stale=${stale};0;;0`,
    ...(ages.length > 0 ? [`oldest=${Math.round(Math.max(...ages))}s;${staleSeconds ?? ''};;0`] : []),
    `size=${there.reduce((sum, { bytes }) => sum + bytes, 0)}B;;;0`,
  ]
  const state = nagiosStateOf(report, there.length)
  return { line: formatNagiosLine(state, words.join('; '), data), state }
}

function nagiosStateOf({ bad, stale, failed, damaged }: StatusReport, backups: number): NagiosState {
  if (bad > 0 || failed.length > 0) return 'critical'
  if (stale > 0) return 'warning'
  return damaged.length > 0 || backups === 0 ? 'unknown' : 'ok'
}

type Sample = (backup: BackupStatus) => number | null

/** Names, what they mean, and their value. A backup of which it is not known has no sample. */
const metrics: readonly (readonly [name: string, help: string, sample: Sample])[] = [
  ['verified', 'Whether the last verification found no problem.', ({ lastRun }) => Number(isGood(lastRun))],
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
  const families = metrics.map(([name, help, sample]) => ({
    name: `backup_${name}`,
    type: 'gauge' as const,
    help,
    samples: there.flatMap((backup) => {
      const value = sample(backup)
      return value === null ? [] : { labels: labelsOf(backup), value }
    }),
  }))
  return formatMetrics([
    ...families,
    {
      name: 'verification_failed',
      type: 'gauge',
      help: 'Backup directories whose last verification came to no verdict.',
      samples: report.failed.map(({ path }) => ({ labels: { path }, value: 1 })),
    },
    {
      name: 'state_damaged',
      type: 'gauge',
      help: 'Backups of which the state cannot be read.',
      samples: [{ labels: {}, value: report.damaged.length }],
    },
    {
      name: 'status_info',
      type: 'gauge',
      help: 'The version of pbmanifest that wrote this.',
      samples: [{ labels: { version }, value: 1 }],
    },
  ])
}

function seconds(time: string | null): number | null {
  return time === null ? null : Date.parse(time) / 1000
}

function labelsOf({ path, label, systemIdentifier }: BackupStatus): Readonly<Record<string, string>> {
  return { path, label: label ?? '', system_identifier: systemIdentifier ?? '' }
}
