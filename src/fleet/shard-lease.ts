import { randomUUID } from 'node:crypto'
import type { ErrorCode } from '../errors.js'
import type { VerificationError } from '../verify/several/verify-backups.js'
import { notifyFleet, type QueueTransaction } from './fleet-queue.js'

/** So often a shard is tried before its backup is given up. */
const MAX_ATTEMPTS = 3

/** A worker as the queue knows it. */
export interface QueueWorker {
  readonly id: string
  readonly name: string
  readonly host: string
  readonly pid: number
  readonly version: string
  /** From which queues of `pg-boss` it takes shards. */
  readonly queues: readonly string[]
  /** For so long, in seconds, it may be silent before its shard is another's. */
  readonly leaseSeconds: number
}

/** A shard that a worker has. Its attempt tells it from all other leases of the same shard. */
export interface ShardLease {
  readonly backup: string
  readonly shard: number
  /** 0: the backup is not divided yet. */
  readonly shards: number
  readonly attempt: number
  readonly job: string
  readonly queue: string
  readonly root: string
  readonly path: string
  readonly options: unknown
}

/** Why a shard could not be verified. */
export interface ShardFailure {
  readonly code: ErrorCode
  readonly message: string
  /** Whether the worker cannot see the backup. */
  readonly isUnseen: boolean
  /** Whether it would be the same for every worker, each time. Default false. */
  readonly isFinal?: boolean
}

/** The queue of `pg-boss` for shards of backups below a root, of workers of one version: others would seal other fragments. */
export function queueName(version: string, root: string): string {
  return `pbmanifest ${version} ${root}`
}

/** Says that a worker is alive. */
export async function reportWorker({ query, schema }: QueueTransaction, worker: QueueWorker): Promise<void> {
  const { id, name, host, pid, version, queues, leaseSeconds } = worker
  await query(
    `INSERT INTO ${schema}.worker (id, name, host, pid, version, queues, lease)
       VALUES ($1, $2, $3, $4, $5, $6, $7::float8 * interval '1 second')
     ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()`,
    [id, name, host, pid, version, queues, leaseSeconds],
  )
}

/** Takes a worker off the list; with it, those that have been silent for a day. */
export async function removeWorker({ query, schema }: QueueTransaction, id: string): Promise<void> {
  await query(
    `DELETE FROM ${schema}.worker WHERE id = $1 OR seen_at < clock_timestamp() - interval '1 day'`,
    [id],
  )
}

/** Takes a shard that nobody has: `pg-boss` says which. */
export async function takeShard(
  transaction: QueueTransaction,
  worker: QueueWorker,
  queues: readonly string[],
): Promise<ShardLease | undefined> {
  const { jobs, query, schema } = transaction
  for (const queue of queues) {
    for (;;) {
      const [job] = (await jobs.fetch<unknown>(queue)) ?? []
      if (job === undefined) break
      const [lease] = await query<Omit<ShardLease, 'job' | 'queue'>>(
        `UPDATE ${schema}.shard AS s
            SET worker = $1, worker_name = $2, attempt = attempt + 1, lease = $3::float8 * interval '1 second',
                taken_at = clock_timestamp(), seen_at = clock_timestamp(), bytes_done = 0, bytes_total = 0
           FROM ${schema}.backup AS b
          WHERE s.job = $4 AND b.id = s.backup AND b.state = 'open'
                AND NOT EXISTS (SELECT FROM ${schema}.fragment AS f WHERE f.backup = s.backup AND f.shard = s.shard)
         RETURNING s.backup, s.shard, s.attempt, b.shards, b.root, b.path, b.options`,
        [worker.id, worker.name, worker.leaseSeconds, job.id],
      )
      if (lease !== undefined) return { ...lease, job: job.id, queue }
      // Of a backup that was given up, of a shard that is done, or none of ours.
      await jobs.deleteJob(queue, job.id)
    }
  }
  return undefined
}

/**
 * Goes on with a shard.
 *
 * @returns whether it is still this worker's
 */
export async function renewLease(
  { query, schema }: QueueTransaction,
  { backup, shard, attempt }: ShardLease,
  worker: QueueWorker,
  { bytesDone, bytesTotal }: { readonly bytesDone: number; readonly bytesTotal: number },
): Promise<boolean> {
  const rows = await query(
    `UPDATE ${schema}.shard SET seen_at = clock_timestamp(), bytes_done = $5, bytes_total = $6
      WHERE backup = $1 AND shard = $2 AND attempt = $3 AND worker = $4
            AND EXISTS (SELECT FROM ${schema}.backup WHERE id = $1 AND state = 'open')
     RETURNING shard`,
    [backup, shard, attempt, worker.id, bytesDone, bytesTotal],
  )
  return rows.length > 0
}

/**
 * Hands in what was found in a shard. The first fragment is the one that counts, whoever has the lease by then: all workers
 * find the same.
 *
 * @returns whether this one counts
 */
export async function handIn(
  transaction: QueueTransaction,
  { backup, shard, shards, queue, job }: ShardLease,
  worker: QueueWorker,
  content: Buffer,
): Promise<boolean> {
  const { jobs, query, schema } = transaction
  if (!(await lockOpenBackup(transaction, backup))) return false
  const inserted = await query(
    `INSERT INTO ${schema}.fragment (backup, shard, worker_name, content) VALUES ($1, $2, $3, $4)
     ON CONFLICT (backup, shard) DO NOTHING RETURNING shard`,
    [backup, shard, worker.name, content],
  )
  if (inserted.length === 0) return false
  await query(`UPDATE ${schema}.shard SET worker = NULL WHERE backup = $1 AND shard = $2`, [backup, shard])
  await jobs.deleteJob(queue, job)
  await query(
    `UPDATE ${schema}.backup SET state = 'done', ended_at = clock_timestamp()
      WHERE id = $1 AND (SELECT count(*) FROM ${schema}.fragment WHERE backup = $1) >= $2`,
    [backup, shards],
  )
  await notifyFleet(transaction)
  return true
}

/** Gives a shard back that a worker does not finish, and that is not to blame for it. */
export async function giveBack(
  transaction: QueueTransaction,
  { backup, shard, attempt, queue, job }: ShardLease,
): Promise<void> {
  const { jobs, query, schema } = transaction
  const rows = await query(
    `UPDATE ${schema}.shard SET worker = NULL WHERE backup = $1 AND shard = $2 AND attempt = $3 AND worker IS NOT NULL
     RETURNING shard`,
    [backup, shard, attempt],
  )
  if (rows.length === 0) return
  await jobs.fail(queue, job)
  await notifyFleet(transaction)
}

/**
 * Records that a shard could not be verified. It is tried again, or its backup is given up.
 *
 * That a worker cannot see the backup does not count as long as there is one that serves the same root and has not said so, too.
 */
export async function failShard(
  transaction: QueueTransaction,
  { backup, shard, attempt }: Pick<ShardLease, 'backup' | 'shard' | 'attempt'>,
  { code, message, isUnseen, isFinal = false }: ShardFailure,
): Promise<void> {
  const { jobs, query, schema } = transaction
  if (!(await lockOpenBackup(transaction, backup))) return
  const [failed] = await query<{ worker: string; queue: string; job: string }>(
    `UPDATE ${schema}.shard AS s SET worker = NULL FROM ${schema}.shard AS old, ${schema}.backup AS b
      WHERE s.backup = $1 AND s.shard = $2 AND s.attempt = $3 AND s.worker IS NOT NULL
            AND old.backup = s.backup AND old.shard = s.shard AND b.id = s.backup
     RETURNING old.worker, b.queue, s.job`,
    [backup, shard, attempt],
  )
  if (failed === undefined) return
  const { worker, queue, job } = failed
  await query(
    `INSERT INTO ${schema}.failure (backup, shard, attempt, worker, worker_name, code, message, is_unseen, counts)
     SELECT $1, $2, $3, $4, s.worker_name, $5, $6, $7, NOT $7 OR NOT EXISTS (
              SELECT FROM ${schema}.worker AS w
               WHERE w.id <> $4 AND $8 = ANY (w.queues) AND w.seen_at > clock_timestamp() - w.lease
                     AND NOT EXISTS (SELECT FROM ${schema}.failure AS f
                                      WHERE f.backup = $1 AND f.worker = w.id AND f.is_unseen))
       FROM ${schema}.shard AS s WHERE s.backup = $1 AND s.shard = $2
     ON CONFLICT DO NOTHING`,
    [backup, shard, attempt, worker, code, message, isUnseen, queue],
  )
  const counted = await query<{ code: ErrorCode; message: string; worker_name: string }>(
    `SELECT code, message, worker_name FROM ${schema}.failure WHERE backup = $1 AND shard = $2 AND counts ORDER BY attempt`,
    [backup, shard],
  )
  if (counted.length < MAX_ATTEMPTS && !isFinal) await jobs.fail(queue, job)
  else await giveUp(transaction, backup, queue, shard, counted)
  await notifyFleet(transaction)
}

/** Takes their shards from workers that were not heard of: not since the server is there again, if it was away. */
export async function takeBackSilent(transaction: QueueTransaction): Promise<void> {
  const { query, schema } = transaction
  const silent = await query<{
    backup: string
    shard: number
    attempt: number
    name: string
    seconds: number
  }>(
    `SELECT backup, shard, attempt, worker_name AS name, extract(epoch FROM lease)::float8 AS seconds FROM ${schema}.shard
      WHERE worker IS NOT NULL AND greatest(seen_at, pg_postmaster_start_time()) < clock_timestamp() - lease`,
  )
  for (const { name, seconds, ...lease } of silent) {
    const message = `worker "${name}" was not heard of for ${seconds} s`
    await failShard(transaction, lease, { code: 'IO', message, isUnseen: false })
  }
}

/** A name for what is new in the queue. */
export function newId(): string {
  return randomUUID()
}

/** Transactions that end an attempt come one after the other, backup by backup. */
export async function lockOpenBackup({ query, schema }: QueueTransaction, id: string): Promise<boolean> {
  const [row] = await query<{ state: string }>(
    `SELECT state FROM ${schema}.backup WHERE id = $1 FOR UPDATE`,
    [id],
  )
  return row?.state === 'open'
}

/** Ends an open backup without a report; what workers are at is not theirs any more. */
export async function abandonBackup(
  { jobs, query, schema }: QueueTransaction,
  backup: string,
  queue: string,
  error: VerificationError,
): Promise<void> {
  await query(
    `UPDATE ${schema}.backup SET state = 'failed', ended_at = clock_timestamp(), error = $2 WHERE id = $1`,
    [backup, JSON.stringify(error)],
  )
  const shards = await query<{ job: string }>(
    `UPDATE ${schema}.shard SET worker = NULL WHERE backup = $1 RETURNING job`,
    [backup],
  )
  await jobs.deleteJob(
    queue,
    shards.map(({ job }) => job),
  )
}

async function giveUp(
  transaction: QueueTransaction,
  backup: string,
  queue: string,
  shard: number,
  failures: readonly { readonly code: ErrorCode; readonly message: string; readonly worker_name: string }[],
): Promise<void> {
  const { query, schema } = transaction
  const last = failures.at(-1)
  const isSame = failures.every(({ code }) => code === last?.code)
  const [row] = await query<{ shards: number }>(`SELECT shards FROM ${schema}.backup WHERE id = $1`, [backup])
  const attempts = failures.length === 1 ? '1 attempt' : `${failures.length} attempts`
  await abandonBackup(transaction, backup, queue, {
    code: isSame ? (last?.code ?? 'IO') : 'IO',
    message: `could not verify shard ${shard} of ${row?.shards || 1} in ${attempts}: ${last?.message ?? ''}`,
    details: failures.map(({ worker_name, message }) => `worker "${worker_name}": ${message}`),
    hint: null,
  })
}
