import type { BackupProgress } from '../../../src/transfer/client/options.js'
import { type BackupReport, type Bottleneck, bottlenecks } from '../../../src/transfer/client/report.js'
import { formatBytes, formatCount, formatSeconds } from '../../../src/renderings/format.js'
import { formatShare } from '../../progress-reporter.js'

const bottleneckNames: Readonly<Record<Bottleneck, string>> = {
  server: 'the server',
  network: 'the network',
  client: 'our own computing',
  writing: 'writing',
  'rate-limit': 'the rate limit',
}

/** `964 files, 21.9 MB in 0.52 s (42.1 MB/s) by 4 workers`. */
export function formatBackupSummary(report: BackupReport): string {
  const { files, bytes, workers, seconds } = report
  const rate = seconds.copy === 0 ? '' : ` (copied at ${formatBytes(bytes / seconds.copy)}/s)`
  const what = `${formatCount(files, 'file')}, ${formatBytes(bytes)}`
  return `${what} in ${formatSeconds(seconds.total)}${rate} by ${formatCount(workers.length, 'worker')}`
}

/** `incremental from 0/2000028 on timeline 1: 950 files by their changes, 1234 blocks, 1.2 GB saved`. */
export function formatChanges({ incremental }: BackupReport): string[] {
  if (incremental === null) return []
  const { fromLsn, fromTimeline, files, blocks, bytesSaved } = incremental
  const what = `${formatCount(files, 'file')} by their changes, ${formatCount(blocks, 'block')}`
  return [
    `incremental from ${fromLsn} on timeline ${fromTimeline}: ${what}, ${formatBytes(bytesSaved)} saved`,
  ]
}

/** `bottleneck: the network (62% of the time; writing 30%, the server 8%)`. */
export function formatBottleneck({ bottleneck, shares }: BackupReport): string {
  const percent = (name: Bottleneck): string => `${Math.round(shares[name] * 100)}%`
  const others = bottlenecks
    .filter((name) => name !== bottleneck && shares[name] >= 0.005)
    .toSorted((left, right) => shares[right] - shares[left])
    .map((name) => `${bottleneckNames[name]} ${percent(name)}`)
  const rest = others.length === 0 ? '' : `; ${others.join(', ')}`
  return `bottleneck: ${bottleneckNames[bottleneck]} (${percent(bottleneck)} of the time${rest})`
}

/** A line for each worker: what it copied, and what it spent its time on. */
export function formatWorkers({ workers }: BackupReport): string[] {
  return workers.map(({ worker, files, bytes, seconds }) => {
    const what = `${formatCount(files, 'file')}, ${formatBytes(bytes)}`
    const times = Object.entries(seconds).map(([activity, spent]) => `${activity} ${formatSeconds(spent)}`)
    return `worker ${worker}: ${what}; ${times.join(', ')}`
  })
}

/**
 * The line of `pg_basebackup --progress`: `  123/45678 kB (0%), 0/2 tablespaces`.
 *
 * @see src/bin/pg_basebackup/pg_basebackup.c, progress_report
 */
export function formatBackupProgress(progress: BackupProgress, isVerbose: boolean): string {
  const { tablespacesDone, tablespacesTotal, file } = progress
  const noun = tablespacesTotal === 1 ? 'tablespace' : 'tablespaces'
  const line = `${formatShare(progress)}, ${tablespacesDone}/${tablespacesTotal} ${noun}`
  if (!isVerbose) return line
  // The last line wipes the name of the one before it.
  if (file === undefined) return `${line} ${' '.repeat(FILE_CHARACTERS + '(...)'.length)}`
  const isLong = file.length > FILE_CHARACTERS
  const shown = isLong ? `...${file.slice(file.length - FILE_CHARACTERS + '...'.length)}` : file
  return `${line} (${shown.padEnd(FILE_CHARACTERS)})`
}

/** How much of a file's name is shown, its end. */
const FILE_CHARACTERS = 35
