import { displayPathname } from '../../../src/files/pathname.js'
import { type VerifyReport, type VerifyStep, verifySteps } from '../../../src/verify/report.js'
import type { ReportedOptions } from '../../../src/verify/reported-options.js'
import { formatBytes, formatCount, formatSeconds } from '../../../src/renderings/format.js'

/** What `verify -v` says when a step begins. */
export const stepWords: Readonly<Record<VerifyStep, string>> = {
  manifest: 'reading the manifest',
  scan: 'comparing the files that are there with the manifest',
  checksums: 'comparing checksums',
  cluster: 'comparing pg_control, backup_label and tablespace_map with the manifest',
  wal: 'reading the WAL that the backup needs',
}

/** What `verify -v` says at the end: which backup it was, where, when and how it was looked at, and why some things were not. */
export function formatDetails(report: VerifyReport): string[] {
  const { options, seconds, notChecked } = report
  const times = [...verifySteps, 'total' as const].map((step) => `${step} ${formatSeconds(seconds[step])}`)
  return [
    `verified: ${describeRun(report)}`,
    `backup: ${describeBackup(report)}`,
    `manifest: ${describeManifest(report)}`,
    `read with ${formatCount(options.jobs, 'thread')}: ${times.join(', ')}`,
    ...describeOptions(options),
    ...notChecked.map(({ what, why }) => `not checked: ${what}: ${why}`),
  ]
}

function describeRun({
  directory,
  path,
  host,
  options,
  pbmanifestVersion,
  startedAt,
  endedAt,
}: VerifyReport): string {
  const stranger =
    directory !== '-' && options.fetchCommand === undefined
      ? `"${displayPathname(directory)}"`
      : options.fetchCommand === undefined
        ? 'an archive from standard input'
        : 'a fetched backup'
  const what = path === null ? stranger : `"${displayPathname(path)}"`
  return `${what} on ${host} by pbmanifest ${pbmanifestVersion}, from ${startedAt} to ${endedAt}`
}

/** Those that do not have their defaults, by their names in the report. */
function describeOptions({ jobs: _jobs, pageChecksums, ignore, ...others }: ReportedOptions): string[] {
  const given = Object.entries(others).flatMap(([name, value]) => {
    if (typeof value === 'string') return [`${name} "${displayPathname(value)}"`]
    return value ? [name] : []
  })
  if (pageChecksums !== 'auto') given.push(`pageChecksums ${pageChecksums}`)
  if (ignore.length > 0) given.push(`ignore ${ignore.map((rule) => `"${displayPathname(rule)}"`).join(' ')}`)
  return given.length === 0 ? [] : [`options: ${given.join(', ')}`]
}

function describeBackup({ backup, format }: VerifyReport): string {
  const { label, serverMajorVersion, takenFrom, startTime, startLsn, startTimeline, incrementalFrom } = backup
  return [
    `${format} format`,
    serverMajorVersion !== null && `PostgreSQL ${serverMajorVersion}`,
    label !== null && `label "${label}"`,
    startTime !== null && `begun ${startTime}`,
    startLsn !== null && startTimeline !== null && `at ${startLsn} on timeline ${startTimeline}`,
    takenFrom !== null && `from a ${takenFrom}`,
    incrementalFrom !== null && `incremental to ${incrementalFrom.lsn}`,
  ]
    .filter((part) => part !== false)
    .join(', ')
}

function describeManifest({ manifest, backup }: VerifyReport): string {
  const { path, version, files, bytes, walRanges, checksum } = manifest
  const wal = walRanges.map(
    ({ timeline, startLsn, endLsn }) => `${startLsn} to ${endLsn} on timeline ${timeline}`,
  )
  return [
    `"${displayPathname(path)}"`,
    `version ${version}`,
    backup.systemIdentifier !== null && `system identifier ${backup.systemIdentifier}`,
    formatCount(files, 'file'),
    formatBytes(bytes),
    wal.length > 0 && `WAL ${wal.join(' and ')}`,
    `checksum ${checksum}`,
  ]
    .filter((part) => part !== false)
    .join(', ')
}
