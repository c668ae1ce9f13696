import { parseStoreAddress } from '../../source/store/store-address.js'
import { formatLsn } from '../../postgres/lsn.js'
import type { RunFacts } from '../../run-facts.js'
import { realPath } from '../../signature/signature-place.js'
import type { BackupEnd, ClusterFacts } from '../cluster-files/cluster-files.js'
import type { CommandResults } from '../commands/replication-command.js'
import { parseBackupLabel } from '../../postgres/backup-label.js'
import { BACKUP_LABEL } from '../../postgres/data-directory.js'
import { findBottleneck, shareTime } from './find-bottleneck.js'
import { isStandardOutput, isStored, STANDARD_OUTPUT } from './options.js'
import type { BackedUpTablespace, BackupReport, IncrementalReport } from './report.js'

/** All that a report is made of. */
export interface ReportParts extends Pick<
  BackupReport,
  | 'directory'
  | 'format'
  | 'compression'
  | 'files'
  | 'bytes'
  | 'filesVanished'
  | 'wal'
  | 'manifest'
  | 'jobs'
  | 'workers'
  | 'seconds'
> {
  readonly run: RunFacts
  readonly facts: ClusterFacts
  readonly start: CommandResults['START_BACKUP']
  readonly end: BackupEnd
  readonly tablespaces: readonly BackedUpTablespace[]
  /** See `TimeSpent`. */
  readonly networkShare: number
  /** The manifest of the backup that this one builds on; `undefined`: it is a full one. */
  readonly priorManifest: string | undefined
  /** What an incremental backup has of files that it does not have whole. */
  readonly changes: Pick<IncrementalReport, 'files' | 'blocks' | 'bytesSaved'>
}

/** Puts the report together. */
export function makeBackupReport(parts: ReportParts): BackupReport {
  const { facts, start, end, workers } = parts
  const shares = shareTime({
    seconds: workers.map(({ seconds }) => seconds),
    networkShare: parts.networkShare,
  })
  return {
    reportVersion: 2,
    ...parts.run,
    directory: parts.directory,
    format: parts.format,
    compression: parts.compression,
    path: isStored(parts)
      ? parseStoreAddress(parts.directory).shown
      : isStandardOutput(parts)
        ? STANDARD_OUTPUT
        : realPath(parts.directory),
    backupId: start.backupId,
    systemIdentifier: String(facts.systemIdentifier),
    serverMajorVersion: facts.majorVersion,
    fromStandby: facts.isInRecovery,
    startLsn: formatLsn(start.startLsn),
    startTimeline: start.startTimeline,
    endLsn: formatLsn(end.endLsn),
    endTimeline: end.endTimeline,
    tablespaces: parts.tablespaces,
    files: parts.files,
    bytes: parts.bytes,
    filesVanished: parts.filesVanished,
    incremental: describeChanges(parts),
    wal: parts.wal,
    manifest: parts.manifest,
    jobs: parts.jobs,
    workers,
    bottleneck: findBottleneck(shares),
    shares,
    seconds: parts.seconds,
  }
}

function describeChanges({ priorManifest, end, changes }: ReportParts): IncrementalReport | null {
  const { incrementalFrom } = parseBackupLabel(end.backupLabel.toString('latin1'), BACKUP_LABEL)
  if (priorManifest === undefined || incrementalFrom === undefined) return null
  return {
    manifest: priorManifest,
    fromLsn: formatLsn(incrementalFrom.lsn),
    fromTimeline: incrementalFrom.timeline,
    ...changes,
  }
}
