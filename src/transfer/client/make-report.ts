import { parseStoreAddress } from '../../source/store/store-address.js'
import { formatLsn } from '../../postgres/lsn.js'
import type { RunFacts } from '../../run-facts.js'
import { realPath } from '../../signature/signature-place.js'
import type { BackupTarget } from '../../target/backup-target.js'
import type { BackupEnd, ClusterFacts, Tablespace } from '../cluster-files/cluster-files.js'
import type { CommandResults } from '../commands/replication-command.js'
import { parseBackupLabel } from '../../postgres/backup-label.js'
import { BACKUP_LABEL } from '../../postgres/data-directory.js'
import { isStandardOutput, isStored, STANDARD_OUTPUT } from './options.js'
import {
  type BackedUpTablespace,
  type BackupReport,
  type Bottleneck,
  bottlenecks,
  type IncrementalReport,
} from './report.js'
import type { Activity } from './worker-counters.js'

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

/** What is known of where the time of all workers went. */
interface TimeSpent {
  /** Of each worker. */
  readonly seconds: readonly Readonly<Record<Activity, number>>[]
  /**
   * How often the server was seen to have bytes ready that the network did not take, of all the times when it was looked
   * at; 0 to 1.
   */
  readonly networkShare: number
}

/** Divides the time of all workers among what they waited for. */
export function shareTime({ seconds, networkShare }: TimeSpent): Record<Bottleneck, number> {
  const sum = (activity: Activity): number => seconds.reduce((sum, worker) => sum + worker[activity], 0)
  const waiting = sum('waiting')
  const parts = {
    server: waiting * (1 - networkShare),
    network: waiting * networkShare,
    client: sum('processing'),
    writing: sum('writing') + sum('syncing'),
    'rate-limit': sum('throttled'),
  }
  const total = bottlenecks.reduce((sum, name) => sum + parts[name], 0)
  const share = (name: Bottleneck): number => (total === 0 ? 0 : parts[name] / total)
  return Object.fromEntries(bottlenecks.map((name) => [name, share(name)])) as Record<Bottleneck, number>
}

/** The largest share; the first of equal ones. */
export function findBottleneck(shares: Readonly<Record<Bottleneck, number>>): Bottleneck {
  return bottlenecks.reduce((most, name) => (shares[name] > shares[most] ? name : most))
}

/** Where the tablespaces were, and are. */
export function describeTablespaces(
  tablespaces: readonly Tablespace[],
  target: BackupTarget,
): BackedUpTablespace[] {
  return target.tablespaces.map(({ oid, location }) => {
    const onServer = tablespaces.find((tablespace) => tablespace.oid === oid)
    return { oid, location: onServer?.location ?? '', directory: location }
  })
}
