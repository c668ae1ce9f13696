import { requireRunId, unknownRun } from './await-fleet.js'
import { type FleetConnection, FleetQueue, notifyFleet } from './fleet-queue.js'
import { abandonBackup } from './shard-lease.js'

/** What became of a backup that was not to be verified any more. */
export interface CancelledBackup {
  /** As it was named. */
  readonly backup: string
  /** False: it had ended before. */
  readonly isCancelled: boolean
}

const CANCELLED = 'cancelled on request'

/**
 * Has a fleet verify no more of what was enqueued. Workers leave the shards that they are at within seconds; whoever waits for the
 * verification is told of an error.
 *
 * @param run - as `enqueueOnFleet` has named it
 * @throws {@link PbManifestError} `USAGE` when the queue does not know it; `SERVER`, `ABORTED`
 */
export async function cancelOnFleet(
  run: string,
  options: FleetConnection & { readonly signal?: AbortSignal },
): Promise<readonly CancelledBackup[]> {
  const { signal } = options
  requireRunId(run)
  const queue = await FleetQueue.open(options, signal)
  try {
    return await queue.run(async (transaction) => {
      const { query, schema } = transaction
      const backups = await query<{
        id: string
        backup: string
        queue: string
        state: string
        reason: string | null
      }>(
        `SELECT id, backup, queue, state, error ->> 'message' AS reason FROM ${schema}.backup
          WHERE run = $1 ORDER BY place FOR UPDATE`,
        [run],
      )
      if (backups.length === 0) throw unknownRun(run)
      for (const { id, queue: name } of backups.filter(({ state }) => state === 'open')) {
        await abandonBackup(transaction, id, name, {
          code: 'IO',
          message: CANCELLED,
          details: [],
          hint: null,
        })
      }
      await notifyFleet(transaction)
      return backups.map(({ backup, state, reason }) => ({
        backup,
        // Or it was before, and only the answer was lost.
        isCancelled: state === 'open' || reason === CANCELLED,
      }))
    }, signal)
  } finally {
    await queue.close()
  }
}
