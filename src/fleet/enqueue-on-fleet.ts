import { PbManifestError } from '../errors.js'
import { MAX_SHARDS } from '../shards/plan-shards.js'
import { version } from '../version.js'
import { type BackupPlace, type FleetRoot, placeOf } from './backup-place.js'
import { type FleetVerifyOptions, pickFleetOptions, readFleetOptions } from './fleet-options.js'
import { type FleetConnection, FleetQueue, notifyFleet, type QueueTransaction } from './fleet-queue.js'
import { addShards, countWorkers } from './plan-backup.js'
import { newId, queueName } from './shard-lease.js'

/** What a fleet is to verify. */
export interface EnqueueOptions extends FleetConnection, FleetVerifyOptions {
  /** Where the directories that are named are for other machines. Default: they have the same path everywhere. */
  readonly roots?: readonly FleetRoot[]
  /** How many shards each backup has, 1 to 1000. Default `auto`: four for each worker, but none of less than
   * 1 GiB, a file counting 32 kB, or, of many files, than 30 kB for each file of the manifest; one for one worker. */
  readonly shards?: number | 'auto'
  readonly signal?: AbortSignal
}

/** A verification that is in the queue. */
export interface EnqueuedRun {
  /** What `awaitFleet` takes. */
  readonly run: string
  readonly backups: readonly {
    readonly backup: string
    /** `null`: as many as a worker finds worthwhile. */
    readonly shards: number | null
    readonly workers: number
  }[]
}

/** For so long what has ended is kept. */
export const KEPT = '7 days'

/**
 * Has a fleet verify backups. Each call is a verification of its own, also of a backup that is being verified.
 *
 * @param backups - directories, or `ROOT:PATH`
 * @throws {@link PbManifestError} `USAGE`, `SERVER`, `ABORTED`
 */
export async function enqueueOnFleet(
  backups: readonly string[],
  options: EnqueueOptions,
): Promise<EnqueuedRun> {
  const { roots = [], shards = 'auto', signal } = options
  if (backups.length === 0) throw new PbManifestError('USAGE', 'there is no backup to verify')
  if (shards !== 'auto' && !(Number.isSafeInteger(shards) && shards >= 1 && shards <= MAX_SHARDS)) {
    throw new PbManifestError('USAGE', `there can be 1 to ${MAX_SHARDS} shards, not ${shards}`)
  }
  const wanted = backups.map((backup) => ({ id: newId(), backup, place: placeOf(backup, roots) }))
  const verifyOptions = readFleetOptions(pickFleetOptions(options))
  const run = newId()
  const queue = await FleetQueue.open(options, signal)
  try {
    await queue.run(async (transaction) => await createQueues(transaction, wanted), signal)
    const enqueued = await queue.run(async (transaction) => {
      await removeOld(transaction)
      const done: EnqueuedRun['backups'][number][] = []
      for (const [place, entry] of wanted.entries()) {
        const workers = await countWorkers(transaction, queueName(version, entry.place.root))
        // Who takes the first shard sees how large the backup is.
        const count = shards === 'auto' ? 0 : shards
        await enqueue(transaction, { ...entry, run, position: place, shards: count, options: verifyOptions })
        done.push({ backup: entry.backup, shards: shards === 'auto' ? null : shards, workers })
      }
      await notifyFleet(transaction)
      return done
    }, signal)
    return { run, backups: enqueued }
  } finally {
    await queue.close()
  }
}

interface WantedBackup {
  readonly id: string
  readonly backup: string
  readonly place: BackupPlace
}

async function createQueues(
  { jobs, query, schema }: QueueTransaction,
  wanted: readonly WantedBackup[],
): Promise<void> {
  for (const name of new Set(wanted.map(({ place }) => queueName(version, place.root)))) {
    if ((await jobs.getQueue(name)) !== null) continue
    // Two that make tables at once would wait for each other.
    await query(`LOCK TABLE ${schema}.fleet IN EXCLUSIVE MODE`)
    await jobs.createQueue(name, { name, policy: 'standard' })
  }
}

async function removeOld({ query, schema }: QueueTransaction): Promise<void> {
  await query(`DELETE FROM ${schema}.backup WHERE ended_at < clock_timestamp() - interval '${KEPT}'`)
}

async function enqueue(
  transaction: QueueTransaction,
  {
    id,
    run,
    position,
    backup,
    place: { root, path },
    options,
    shards,
  }: WantedBackup & {
    readonly run: string
    readonly position: number
    readonly shards: number
    readonly options: FleetVerifyOptions
  },
): Promise<void> {
  const { query, schema } = transaction
  const name = queueName(version, root)
  const inserted = await query(
    `INSERT INTO ${schema}.backup (id, run, place, backup, root, path, options, queue, shards)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING RETURNING id`,
    [id, run, position, backup, root, path, JSON.stringify(options), name, shards],
  )
  // It was, and only the answer was lost.
  if (inserted.length === 0) return
  await addShards(transaction, { backup: id, queue: name, position }, { first: 1, last: Math.max(shards, 1) })
}
