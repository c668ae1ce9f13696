import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../../../files/yielder.js'
import { formatLsn, type LsnDigits } from '../../../postgres/lsn.js'
import {
  parseTimelineHistory,
  type TimelineHistoryEntry,
  timelineHistoryFileName,
  timelineWithoutHistory,
} from '../../../postgres/timeline-history.js'
import { nearestVersion } from '../../../postgres/versions.js'
import { SummaryMerger } from '../../../postgres/wal-summary/changed-blocks.js'
import {
  chooseSummaries,
  findPriorStart,
  type Refused,
} from '../../../postgres/wal-summary/required-summaries.js'
import { readWalSummary, walSummaryName } from '../../../postgres/wal-summary/summary-file.js'
import type {
  BackupMode,
  BackupStart,
  ClusterFacts,
  ClusterFiles,
} from '../../cluster-files/cluster-files.js'
import { RefusedError } from '../../commands/refused-error.js'
import type { IncrementalBackup } from '../backup.js'
import type { SessionNotice } from '../backup-session.js'
import type { PriorBackup } from './prior-backup.js'

/** What the preparation of an incremental backup needs. */
export interface PrepareOptions {
  readonly mode: BackupMode
  readonly files: ClusterFiles
  readonly cluster: ClusterFacts
  readonly onNotice: ((notice: SessionNotice) => void) | undefined
  readonly signal: AbortSignal
  /** So often, in milliseconds, it is looked whether summarization has moved; default 10 s, as a server. */
  readonly cycleMs?: number
}

/**
 * Looks, before a backup starts, whether the server makes summaries.
 *
 * @throws {@link PbManifestError} `SERVER`, in the server's words
 * @see src/backend/backup/basebackup.c (`parse_basebackup_options`)
 */
export async function requireSummaries(mode: BackupMode): Promise<void> {
  const { isOn } = await mode.walSummarizer()
  if (isOn) return
  throw new RefusedError(
    'wrong-server',
    'incremental backups cannot be taken unless WAL summarization is enabled',
    'Set summarize_wal to on, which needs no restart, and take a full backup.',
  )
}

/**
 * Works out which blocks were changed since the prior backup, when the new one has started.
 *
 * @throws {@link PbManifestError} `SERVER`, in the server's words where it refuses; `IO`, `BAD_FILE` or `ABORTED`
 * @see src/backend/backup/basebackup_incremental.c (`PrepareForIncrementalBackup`)
 */
export async function prepareIncremental(
  prior: PriorBackup,
  { startLsn, startTimeline }: BackupStart,
  options: PrepareOptions,
): Promise<IncrementalBackup> {
  const { mode, files, cluster } = options
  const { lsnDigits } = nearestVersion(cluster.majorVersion)
  const history = await readHistory(startTimeline, mode)
  const limits = { history, start: { lsn: startLsn, timeline: startTimeline }, lsnDigits }
  const from = acceptOrRefuse(findPriorStart(prior.walRanges, limits))
  await waitForSummaries(startLsn, lsnDigits, options)
  const summaries = acceptOrRefuse(chooseSummaries(await files.listWalSummaries(), from, limits))
  const merger = new SummaryMerger()
  for await (const { summary, bytes } of files.readWalSummaries(summaries, options.signal)) {
    throwIfAborted(options.signal)
    const name = `pg_wal/summaries/${walSummaryName(summary)}`
    for (const changes of readWalSummary(bytes, name)) merger.add(changes)
  }
  return { from, plan: { changes: merger.finish().memory, priorFiles: prior.files } }
}

async function readHistory(timeline: number, mode: BackupMode): Promise<readonly TimelineHistoryEntry[]> {
  const bytes = await mode.timelineHistory(timeline)
  if (bytes === undefined) return timelineWithoutHistory(timeline)
  return parseTimelineHistory(bytes.toString('latin1'), timeline, timelineHistoryFileName(timeline))
}

function acceptOrRefuse<Found extends object>(found: Found | Refused): Found {
  if (!('fault' in found)) return found
  throw new RefusedError('wrong-server', found.fault, found.hint, found.detail)
}

const PAUSE_MS = 50
const LONGEST_PAUSE_MS = 500

/** So often a server says that it is still waiting. */
const CYCLE_MS = 10_000

/** After so many of these cycles in which nothing was read, it gives up. */
const MAX_DEAD_CYCLES = 6

/**
 * Waits until the summaries reach the start of the backup, as a server does: with a warning every ten seconds, and no longer
 * than a minute in which nothing moves. When summarization is switched off meanwhile, the gap will be found afterwards.
 *
 * @see src/backend/postmaster/walsummarizer.c (`WaitForWalSummarization`)
 */
async function waitForSummaries(
  lsn: bigint,
  lsnDigits: LsnDigits,
  { mode, onNotice, signal, cycleMs = CYCLE_MS }: PrepareOptions,
): Promise<void> {
  const show = (value: bigint): string => formatLsn(value, lsnDigits)
  const begun = performance.now()
  let pause = PAUSE_MS
  let cycles = 0
  let deadCycles = 0
  let pendingBefore = 0n
  for (;;) {
    const { isOn, summarizedLsn, pendingLsn } = await mode.walSummarizer()
    if (!isOn || summarizedLsn >= lsn) return
    const elapsed = performance.now() - begun
    if (elapsed >= (cycles + 1) * cycleMs) {
      cycles++
      deadCycles = pendingLsn > pendingBefore ? 0 : deadCycles + 1
      if (pendingLsn > pendingBefore) pendingBefore = pendingLsn
      if (deadCycles >= MAX_DEAD_CYCLES) {
        throw new RefusedError(
          'wrong-server',
          'WAL summarization is not progressing',
          undefined,
          `Summarization is needed through ${show(lsn)}, but is stuck at ${show(summarizedLsn)} on disk and ${show(pendingLsn)} in memory.`,
        )
      }
      const seconds = Math.floor(elapsed / 1000)
      onNotice?.({
        severity: 'WARNING',
        message: `still waiting for WAL summarization through ${show(lsn)} after ${seconds} seconds`,
        hint: `Summarization has reached ${show(summarizedLsn)} on disk and ${show(pendingLsn)} in memory.`,
      })
    }
    // Whoever aborts is heard at the top of the next turn.
    await sleep(pause, undefined, { signal }).catch(() => {})
    throwIfAborted(signal)
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
  }
}
