import { randomBytes } from 'node:crypto'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { MAX_SHARDS } from '../shards/plan-shards.js'
import { notifyFleet, type QueueTransaction } from './fleet-queue.js'
import { lockOpenBackup } from './shard-lease.js'

/** What of a backup says in how many shards it is worth being verified. */
export interface BackupSize {
  readonly files: number
  readonly bytes: number
}

/** For each worker so many shards, if they are large enough: less is lost with a worker, and the last ones end at about the same time. */
const SHARDS_PER_WORKER = 4

/** A shard that is begun costs about as much as reading so many bytes, times a few: threads, listing directories, */
const LEAST_BYTES = 2 ** 30
/** and for each file of the manifest, which each shard reads. */
const LEAST_BYTES_PER_LISTED_FILE = 30_000

/** A file costs its bytes, and as much as these for being opened. */
const BYTES_PER_FILE = 32_768

/**
 * In how many shards a backup is verified when nobody says: four for each worker, but none that is not worth its beginning.
 *
 * @param workers - that could take one
 */
export function chooseShardCount(workers: number, { files, bytes }: BackupSize): number {
  if (workers <= 1) return 1
  const least = Math.max(LEAST_BYTES, files * LEAST_BYTES_PER_LISTED_FILE)
  const worthwhile = Math.floor((bytes + files * BYTES_PER_FILE) / least)
  return Math.max(1, Math.min(worthwhile, SHARDS_PER_WORKER * workers, MAX_SHARDS))
}

/**
 * Counts what a manifest lists; whether it is a good one, whoever verifies the backup finds out.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO`, `ABORTED`
 */
export async function measureBackup(directory: string, signal: AbortSignal): Promise<BackupSize> {
  const source = await openManifest(`${directory}/backup_manifest`, { mayBePipe: false, signal })
  let [files, bytes] = [0, 0]
  const count = ({ size }: { readonly size: number }): void => {
    files++
    bytes += size
  }
  await scanManifest(source, { file: count, plainFile: count, walRange: () => {} }, { signal })
  return { files, bytes }
}

/** How many workers there are that take shards from a queue of `pg-boss`. */
export async function countWorkers({ query, schema }: QueueTransaction, queue: string): Promise<number> {
  const [row] = await query<{ workers: number }>(
    `SELECT count(*)::int AS workers FROM ${schema}.worker
      WHERE $1 = ANY (queues) AND seen_at > clock_timestamp() - lease`,
    [queue],
  )
  return row?.workers ?? 0
}

/**
 * Divides a backup of which there is one shard yet, and nobody knows of how many; once.
 *
 * @returns how many there are
 */
export async function divideBackup(
  transaction: QueueTransaction,
  { backup, queue }: { readonly backup: string; readonly queue: string },
  wanted: number,
): Promise<number> {
  const { query, schema } = transaction
  if (!(await lockOpenBackup(transaction, backup))) return 1
  const [row] = await query<{ shards: number; place: number }>(
    `SELECT shards, place FROM ${schema}.backup WHERE id = $1`,
    [backup],
  )
  if (row === undefined || row.shards > 0) return row?.shards ?? 1
  await query(`UPDATE ${schema}.backup SET shards = $2 WHERE id = $1`, [backup, wanted])
  await addShards(transaction, { backup, queue, position: row.place }, { first: 2, last: wanted })
  await notifyFleet(transaction)
  return wanted
}

/** A shard is tried again as often as we say: `pg-boss` counts, too, but not only what counts. */
const RETRIES = 1_000_000

/** The lease ends an attempt, and nothing else. */
const NEVER_SECONDS = 10 * 365 * 86_400

/** Puts shards of a backup into the queue. */
export async function addShards(
  { jobs, query, schema }: QueueTransaction,
  { backup, queue, position }: { readonly backup: string; readonly queue: string; readonly position: number },
  { first, last }: { readonly first: number; readonly last: number },
): Promise<void> {
  if (last < first) return
  const ids = Array.from({ length: last - first + 1 }, (_, index) => jobId(position, first + index))
  const rows = await query<{ shard: number; job: string }>(
    `INSERT INTO ${schema}.shard (backup, shard, job)
     SELECT $1, $3 - 1 + number, job FROM unnest($2::uuid[]) WITH ORDINALITY AS jobs (job, number)
     RETURNING shard, job`,
    [backup, ids, first],
  )
  await jobs.insert(
    rows.map(({ shard, job }) => ({
      id: job,
      name: queue,
      data: { backup, shard },
      retryLimit: RETRIES,
      retryDelay: 1,
      expireInSeconds: NEVER_SECONDS,
    })),
  )
}

/** What is enqueued at once, `pg-boss` hands out in the order of these. */
function jobId(position: number, shard: number): string {
  const id = randomBytes(16)
  id.writeUInt32BE(position, 0)
  id.writeUInt32BE(shard, 4)
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
