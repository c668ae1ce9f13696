import { formatMetrics, type Metric } from '../prometheus-text.js'
import { version } from '../version.js'
import { type VerifyReport, verifySteps } from '../verify/report.js'
import {
  type BackupOutcome,
  type BackupsReport,
  outcomeVerdicts,
  verdictOf,
} from '../verify/several/verify-backups.js'

type Labels = Readonly<Record<string, string>>
type Samples = readonly (readonly [labels: Labels, value: number])[]

/** What is known only where there is a report: names without `verify_`, what they mean, and their values. */
const reportMetrics: readonly (readonly [
  name: string,
  help: string,
  values: (report: VerifyReport) => Samples,
])[] = [
  ['problems', 'Problems that were found, by kind.', countsOf],
  ['warnings', 'Warnings, which do not change the verdict.', ({ warnings }) => one(warnings.length)],
  [
    'not_checked',
    'What was not checked; see the kinds in the documentation of the report.',
    ({ notChecked }) => [...new Set(notChecked.map(({ what }) => what))].map((what) => [{ what }, 1]),
  ],
  ['files', 'Files in the manifest.', ({ manifest }) => one(manifest.files)],
  ['size_bytes', 'Size of the files in the manifest.', ({ manifest }) => one(manifest.bytes)],
  ['checked_files', 'Files whose checksum was compared.', ({ filesChecked }) => one(filesChecked)],
  ['checked_bytes', 'Size of those files.', ({ bytesChecked }) => one(bytesChecked)],
  ['checked_pages', 'Data pages whose checksum was checked.', ({ pages }) => one(pages.checked)],
  ['mismatched_pages', 'Data pages that are damaged.', ({ pages }) => one(pages.mismatched)],
  ['wal_records', 'WAL records that were read.', ({ walRecords }) => one(walRecords)],
  ['wal_bytes', 'Bytes of WAL that they take.', ({ walBytes }) => one(walBytes)],
  ['duration_seconds', 'How long the verification took.', ({ seconds }) => one(seconds.total)],
  [
    'step_duration_seconds',
    'How long each step took; steps may overlap.',
    ({ seconds }) => verifySteps.map((step) => [{ step }, seconds[step]]),
  ],
  ['start_timestamp_seconds', 'When the verification began.', ({ startedAt }) => time(startedAt)],
  ['end_timestamp_seconds', 'When the verification ended.', ({ endedAt }) => time(endedAt)],
  [
    'backup_start_timestamp_seconds',
    'When the backup was begun, where it says so.',
    ({ backup }) => (backup.startTimeUtc === null ? [] : time(backup.startTimeUtc)),
  ],
  [
    'backup_info',
    'What the backup says of itself.',
    ({ path, format, backup }) => [
      [
        {
          path: path ?? '',
          format,
          label: backup.label ?? '',
          system_identifier: backup.systemIdentifier ?? '',
          server_version: String(backup.serverMajorVersion ?? ''),
        },
        1,
      ],
    ],
  ],
]

/**
 * What came of a verification in Prometheus's text format, for the textfile collector of its node exporter. Each sample is
 * labelled with the directory, as it was given.
 */
export function formatReportForPrometheus({ backups, endedAt }: BackupsReport): string {
  return formatMetrics([
    gauge(
      'verify_success',
      'Whether the backup verifies, or as much of it as was asked for: 1, else 0.',
      backups,
      (outcome) => one(Number(['verified', 'sampled'].includes(verdictOf(outcome)))),
    ),
    gauge(
      'verify_verdict',
      'The verdict: 1 for the one that it is; error: it could not be verified.',
      backups,
      (outcome) => outcomeVerdicts.map((verdict) => [{ verdict }, Number(verdict === verdictOf(outcome))]),
    ),
    ...reportMetrics.map(([name, help, values]) =>
      gauge(`verify_${name}`, help, backups, (outcome) =>
        'report' in outcome ? values(outcome.report) : [],
      ),
    ),
    {
      name: 'verify_run_end_timestamp_seconds',
      type: 'gauge',
      help: 'When all of this had been found out.',
      samples: [{ labels: {}, value: Date.parse(endedAt) / 1000 }],
    },
    {
      name: 'verify_run_info',
      type: 'gauge',
      help: 'The version of pbmanifest that wrote this.',
      samples: [{ labels: { version }, value: 1 }],
    },
  ])
}

function gauge(
  name: string,
  help: string,
  backups: readonly BackupOutcome[],
  samples: (outcome: BackupOutcome) => Samples,
): Metric {
  return {
    name,
    type: 'gauge',
    help,
    samples: backups.flatMap((outcome) =>
      samples(outcome).map(([labels, value]) => ({
        labels: { directory: outcome.directory, ...labels },
        value,
      })),
    ),
  }
}

function one(value: number): Samples {
  return [[{}, value]]
}

function time(text: string): Samples {
  return one(Date.parse(text) / 1000)
}

function countsOf({ problemCounts }: VerifyReport): Samples {
  return Object.entries(problemCounts).map(([kind, count]) => [{ kind }, count])
}
