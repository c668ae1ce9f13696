import { PbManifestError } from '../../errors.js'
import { mergeSorted } from '../../manifest/merge/merge-fragments.js'
import type { MergeInput } from '../../manifest/merge/merge-options.js'
import type { WalRange } from '../../manifest/model.js'
import { walRangesOfPositions } from '../../manifest/wal-ranges.js'
import {
  parseTimelineHistory,
  type TimelineHistoryEntry,
  timelineHistoryFileName,
  timelineWithoutHistory,
} from '../../postgres/timeline-history.js'
import { nearestVersion } from '../../postgres/versions.js'
import type { BackupEnd, BackupMode } from '../cluster-files/cluster-files.js'
import { type BackupDescription, type Backup, fragmentPath, throwIfBackupAborted } from './backup.js'
import { type Leader, type Membership, removeFragments, sealFragment } from './membership.js'
import { refused } from '../commands/refused-error.js'

/**
 * Merges the fragments of all sessions, and streams the manifest, each piece valid until the next. Nothing of the fragments is left
 * afterwards.
 *
 * @throws {@link PbManifestError} when it is refused or fails
 */
export async function* buildManifest(
  membership: Membership,
  backupId: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const { backup } = membership
  const leader = requireStoppedLeader(membership, backupId)
  requireOtherSessionsFinished(membership)
  const walRanges = await planWalRanges(backup.description, leader.end, leader.mode)
  if (membership.recorder !== undefined) await sealFragment(membership)
  for await (const piece of mergeSorted(planMerge(backup, walRanges, signal))) {
    throwIfBackupAborted(backup)
    yield piece
  }
  await removeFragments(backup)
  leader.isComplete = true
}

function requireStoppedLeader(
  { backup, leader }: Membership,
  backupId: string,
): Leader & { readonly end: BackupEnd } {
  const { id, manifest } = backup.description
  throwIfBackupAborted(backup)
  if (leader === undefined) throw refused('only the session that started the backup can build its manifest')
  if (backupId !== id) throw refused(`this session leads backup "${id}", not the one that is named`)
  if (manifest === 'no') throw refused('the backup was started without a manifest')
  if (leader.end === undefined) throw refused('the backup has not been stopped')
  if (leader.isComplete) throw refused('the manifest was built already')
  return leader as Leader & { readonly end: BackupEnd }
}

function requireOtherSessionsFinished({ backup, recorder }: Membership): void {
  const { sessions, finished } = backup.state
  const own = recorder === undefined ? 0 : 1
  const missing = sessions - finished - own
  if (missing === 0) return
  throw refused(
    `the manifest cannot be built: ${missing} of ${sessions} sessions of the backup have not finished`,
    'Files that such a session sent would be missing from it.',
  )
}

async function planWalRanges(
  { startLsn, startTimeline }: BackupDescription,
  { endLsn, endTimeline }: BackupEnd,
  mode: BackupMode,
): Promise<readonly WalRange[]> {
  const history =
    endTimeline === startTimeline ? timelineWithoutHistory(endTimeline) : await readHistory(endTimeline, mode)
  const ranges = walRangesOfPositions({ startLsn, startTimeline, endLsn, endTimeline }, history)
  if (typeof ranges === 'string') throw new PbManifestError('CANNOT_MERGE', ranges)
  return ranges
}

async function readHistory(timeline: number, mode: BackupMode): Promise<readonly TimelineHistoryEntry[]> {
  const name = timelineHistoryFileName(timeline)
  const bytes = await mode.timelineHistory(timeline)
  if (bytes !== undefined) return parseTimelineHistory(bytes.toString('utf8'), timeline, name)
  throw new PbManifestError(
    'CANNOT_MERGE',
    `the backup ended on timeline ${timeline}, but the server does not have "${name}"`,
  )
}

function planMerge(
  { description, state }: Backup,
  walRanges: readonly WalRange[],
  signal: AbortSignal,
): MergeInput {
  const { cluster } = description
  const { hasSystemIdentifierInManifest } = nearestVersion(cluster.majorVersion)
  return {
    fragments: Array.from({ length: state.sessions }, (_, worker) => fragmentPath(description, worker)),
    workers: state.sessions,
    serverVersion: cluster.majorVersion,
    ...(hasSystemIdentifierInManifest && { systemIdentifier: cluster.systemIdentifier }),
    walRanges,
    signal,
  }
}
