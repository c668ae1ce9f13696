import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { ioError } from '../files/system-error.js'
import { mergeReports, type MergeReportsOptions } from '../shards/merge-reports.js'
import type { BackupOutcome, VerificationError } from '../verify/several/verify-backups.js'
import type { Problem, VerifyReport } from '../verify/report.js'
import { KEPT } from './enqueue-on-fleet.js'
import { withScratch } from './fleet-scratch.js'
import { type FleetConnection, FleetQueue, type QueueTransaction } from './fleet-queue.js'
import { takeBackSilent } from './shard-lease.js'

/** How far a verification by a fleet is. */
export interface FleetProgress {
  readonly shards: number
  readonly shardsDone: number
  /** Shards that are being verified at this moment. */
  readonly shardsRunning: number
  /** Bytes that were read so far of those. */
  readonly bytesRunning: number
  /** Workers that could take shards. */
  readonly workers: number
}

/** How to wait for a verification by a fleet. */
export interface AwaitFleetOptions extends FleetConnection {
  /** Is told what came of each backup, in the order in which they were enqueued. */
  readonly onBackup?: (outcome: BackupOutcome) => void
  /** Is told each problem of a backup before it is told what came of it. */
  readonly onProblem?: (problem: Problem, backup: string) => void
  /** Is told about once a second, and when a shard is done. */
  readonly onProgress?: (progress: FleetProgress) => void
  /** Whether a server that cannot be reached at first is waited for, as one that is gone later is. Default false. */
  readonly isPatient?: boolean
  readonly signal?: AbortSignal
}

/** Something may have happened that nobody has told, in milliseconds. */
const LOOK_MS = 1000

/**
 * Waits until a fleet has verified what was enqueued, and merges the report of each backup.
 *
 * @param run - as `enqueueOnFleet` has named it
 * @returns what came of each backup; can be asked for again for seven days
 * @throws {@link PbManifestError} `USAGE` when the queue does not know it; `SERVER`, `IO`, `ABORTED`
 */
export async function awaitFleet(run: string, options: AwaitFleetOptions): Promise<readonly BackupOutcome[]> {
  const { onBackup, onProgress, isPatient, signal } = options
  requireRunId(run)
  const queue = await FleetQueue.open(options, signal, isPatient)
  try {
    const outcomes: BackupOutcome[] = []
    for (;;) {
      const { backups, progress } = await queue.run(async (transaction) => {
        await takeBackSilent(transaction)
        return await look(transaction, run)
      }, signal)
      if (backups.length === 0) throw unknownRun(run)
      onProgress?.(progress)
      for (const backup of backups.slice(outcomes.length)) {
        if (backup.state === 'open') break
        const outcome = await conclude(queue, backup, options)
        outcomes.push(outcome)
        onBackup?.(outcome)
      }
      if (outcomes.length === backups.length) return outcomes
      await queue.waitForNews(LOOK_MS, signal)
    }
  } finally {
    await queue.close()
  }
}

/** @throws {@link PbManifestError} `USAGE` for what the queue cannot know */
export function requireRunId(run: string): void {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(run)) throw unknownRun(run)
}

export function unknownRun(run: string): PbManifestError {
  return new PbManifestError('USAGE', `there is no verification "${run}" in the queue`, {
    hint: `What has ended is kept for ${KEPT}.`,
  })
}

interface EnqueuedBackup {
  readonly id: string
  readonly backup: string
  readonly shards: number
  readonly state: 'open' | 'done' | 'failed'
  readonly error: VerificationError | null
}

async function look(
  { query, schema }: QueueTransaction,
  run: string,
): Promise<{ readonly backups: readonly EnqueuedBackup[]; readonly progress: FleetProgress }> {
  const backups = await query<EnqueuedBackup>(
    `SELECT id, backup, greatest(shards, 1) AS shards, state, error FROM ${schema}.backup WHERE run = $1 ORDER BY place`,
    [run],
  )
  const [progress] = await query<Omit<FleetProgress, 'shards'>>(
    `SELECT (SELECT count(*)::int FROM ${schema}.fragment AS f JOIN ${schema}.backup AS b ON b.id = f.backup
              WHERE b.run = $1) AS "shardsDone",
            count(s.worker)::int AS "shardsRunning",
            coalesce(sum(s.bytes_done) FILTER (WHERE s.worker IS NOT NULL), 0)::float8 AS "bytesRunning",
            (SELECT count(*)::int FROM ${schema}.worker AS w
              WHERE w.seen_at > clock_timestamp() - w.lease
                    AND w.queues && (SELECT array_agg(queue) FROM ${schema}.backup WHERE run = $1)) AS workers
       FROM ${schema}.shard AS s JOIN ${schema}.backup AS b ON b.id = s.backup WHERE b.run = $1`,
    [run],
  )
  const none = { shardsDone: 0, shardsRunning: 0, bytesRunning: 0, workers: 0 }
  const shards = backups.reduce((sum, backup) => sum + backup.shards, 0)
  return { backups, progress: { ...none, ...progress, shards } }
}

/** What came of a backup that is done, or was given up. */
async function conclude(
  queue: FleetQueue,
  { id, backup, shards, state, error }: EnqueuedBackup,
  options: AwaitFleetOptions,
): Promise<BackupOutcome> {
  const { onProblem, signal } = options
  if (state === 'failed') {
    const unknown = { code: 'IO' as const, message: 'it was given up', details: [], hint: null }
    return { directory: backup, error: error ?? unknown }
  }
  let outcome: BackupOutcome
  try {
    const report = await mergeFragments(queue, id, shards, {
      ...(onProblem && { onProblem: (problem) => onProblem(problem, backup) }),
      ...(signal && { signal }),
    })
    outcome = { directory: backup, report: { ...report, directory: backup } }
  } catch (error) {
    if (!isPbManifestError(error) || !['CANNOT_MERGE', 'BAD_FRAGMENT'].includes(error.code)) throw error
    const { code, message, details, hint = null } = error
    outcome = { directory: backup, error: { code, message, details, hint } }
  }
  const verdict = 'report' in outcome ? outcome.report.verdict : 'error'
  await queue.run(async ({ query, schema }) => {
    await query(`UPDATE ${schema}.backup SET verdict = $2 WHERE id = $1`, [id, verdict])
  }, signal)
  return outcome
}

/** The report that all fragments come to. In what is said of them, they are the shards of workers, and no files. */
async function mergeFragments(
  queue: FleetQueue,
  id: string,
  shards: number,
  options: MergeReportsOptions,
): Promise<VerifyReport> {
  return await withScratch(async (scratch) => {
    const paths: string[] = []
    for (let shard = 1; shard <= shards; shard++) {
      const [fragment] = await queue.run(
        async ({ query, schema }) =>
          await query<{ name: string; content: Buffer }>(
            `SELECT worker_name AS name, content FROM ${schema}.fragment WHERE backup = $1 AND shard = $2`,
            [id, shard],
          ),
        options.signal,
      )
      if (fragment === undefined) continue
      const path = join(scratch, `shard ${shard} by ${fragment.name.replaceAll(/[/\0]/g, '_').slice(0, 60)}`)
      await writeFile(path, fragment.content).catch((error: unknown) => {
        throw ioError(`could not write file "${path}"`, error)
      })
      paths.push(path)
    }
    return await mergeReports(paths, { ...options, shards }).catch((error: unknown) => {
      throw isPbManifestError(error) ? withoutDirectory(error, scratch) : error
    })
  })
}

function withoutDirectory(
  { code, message, details, hint, cause }: PbManifestError,
  directory: string,
): PbManifestError {
  const shorten = (text: string): string => text.replaceAll(`${directory}/`, '')
  return new PbManifestError(code, shorten(message), {
    cause,
    details: details.map(shorten),
    ...(hint !== undefined && { hint }),
  })
}
