import { hostname } from 'node:os'
import type { OutcomeVerdict, VerificationError } from '../verify/several/verify-backups.js'
import { version } from '../version.js'
import { type FleetConnection, FleetQueue, type QueueTransaction } from './fleet-queue.js'

/** A shard that a worker has. */
export interface RunningShard {
  readonly shard: number
  /** The name of the worker. */
  readonly worker: string
  readonly attempt: number
  readonly since: string
  /** When it was last heard of. */
  readonly seenAt: string
  readonly bytesDone: number
  readonly bytesTotal: number
}

/** Why a shard was not verified. */
export interface FailedAttempt {
  readonly shard: number
  readonly attempt: number
  readonly worker: string
  readonly at: string
  readonly code: string
  readonly message: string
  /** Whether it is one of the three after which a backup is given up. */
  readonly counts: boolean
}

/** A backup in the queue. */
export interface FleetBackup {
  /** As it was named. */
  readonly backup: string
  /** The verification that it belongs to. */
  readonly run: string
  /** `done`: all shards are; `failed`: it was given up. */
  readonly state: 'waiting' | 'running' | 'done' | 'failed'
  /** 1 as long as nobody knows of how many. */
  readonly shards: number
  readonly waiting: number
  readonly running: readonly RunningShard[]
  readonly done: number
  readonly failures: readonly FailedAttempt[]
  readonly enqueuedAt: string
  readonly endedAt: string | null
  /** Of the merged report, when somebody has asked for it. */
  readonly verdict: OutcomeVerdict | null
  /** Why it was given up. */
  readonly error: VerificationError | null
}

/** A worker that was heard of in the last day. */
export interface FleetWorkerStatus {
  readonly name: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly startedAt: string
  readonly seenAt: string
  /** Whether it was heard of lately enough to keep what it has. */
  readonly isAlive: boolean
}

/**
 * What a queue has, as data.
 *
 * @see schemas/fleet-status.schema.json
 */
export interface FleetStatus {
  readonly reportVersion: 1
  readonly pbmanifestVersion: string
  readonly host: string
  /** By the clock of the server, as all times here. */
  readonly at: string
  readonly schema: string
  /** The last enqueued first. */
  readonly backups: readonly FleetBackup[]
  readonly workers: readonly FleetWorkerStatus[]
}

/**
 * Reads what a queue has: backups, their shards, workers.
 *
 * @throws {@link PbManifestError} `SERVER`, `USAGE`, `ABORTED`
 */
export async function readFleetStatus(options: FleetConnection, signal?: AbortSignal): Promise<FleetStatus> {
  const queue = await FleetQueue.open(options, signal)
  try {
    return await queue.run(readStatus, signal)
  } finally {
    await queue.close()
  }
}

interface BackupRow extends Omit<FleetBackup, 'state' | 'waiting' | 'running' | 'failures'> {
  readonly id: string
  readonly state: 'open' | 'done' | 'failed'
}

async function readStatus({ query, schema }: QueueTransaction): Promise<FleetStatus> {
  // All that follows is of one moment.
  await query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
  const [clock] = await query<{ at: string }>(`SELECT ${isoTime('clock_timestamp()')} AS at`)
  const backups = await query<BackupRow>(
    `SELECT id, backup, run, state, greatest(shards, 1) AS shards, verdict, error, ${isoTime('enqueued_at')} AS "enqueuedAt", ${isoTime('ended_at')} AS "endedAt",
            (SELECT count(*)::int FROM ${schema}.fragment AS f WHERE f.backup = b.id) AS done
       FROM ${schema}.backup AS b ORDER BY enqueued_at DESC, place`,
  )
  const running = await query<RunningShard & { id: string }>(
    `SELECT backup AS id, shard, worker_name AS worker, attempt, ${isoTime('taken_at')} AS since, ${isoTime('seen_at')} AS "seenAt",
            bytes_done::float8 AS "bytesDone", bytes_total::float8 AS "bytesTotal"
       FROM ${schema}.shard WHERE worker IS NOT NULL ORDER BY shard`,
  )
  const failures = await query<FailedAttempt & { id: string }>(
    `SELECT backup AS id, shard, attempt, worker_name AS worker, ${isoTime('at')} AS at, code, message, counts
       FROM ${schema}.failure ORDER BY shard, attempt`,
  )
  const workers = await query<FleetWorkerStatus>(
    `SELECT name, host, pid, version, ${isoTime('started_at')} AS "startedAt", ${isoTime('seen_at')} AS "seenAt",
            seen_at > clock_timestamp() - lease AS "isAlive"
       FROM ${schema}.worker ORDER BY name, started_at`,
  )
  const runningOf = byBackup(running)
  const failuresOf = byBackup(failures)
  return {
    reportVersion: 1,
    pbmanifestVersion: version,
    host: hostname(),
    at: clock?.at ?? '',
    schema,
    backups: backups.map(({ id, state, ...row }) => {
      const shardsRunning = state === 'open' ? (runningOf.get(id) ?? []) : []
      const isRunning = shardsRunning.length > 0 || row.done > 0
      return {
        ...row,
        state: state !== 'open' ? state : isRunning ? 'running' : 'waiting',
        waiting: state === 'open' ? row.shards - row.done - shardsRunning.length : 0,
        running: shardsRunning,
        failures: failuresOf.get(id) ?? [],
      }
    }),
    workers,
  }
}

function byBackup<Row>(rows: readonly (Row & { readonly id: string })[]): Map<string, Omit<Row, 'id'>[]> {
  const groups = new Map<string, Omit<Row, 'id'>[]>()
  for (const { id, ...row } of rows) {
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [row])
    else group.push(row)
  }
  return groups
}

/** SQL for a time as all our documents have it. */
function isoTime(expression: string): string {
  return `to_char(${expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}
