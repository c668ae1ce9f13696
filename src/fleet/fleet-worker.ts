import { readFile, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { describeSystemError } from '../files/system-error.js'
import { verifyShard } from '../shards/verify-shard.js'
import { version } from '../version.js'
import { findPlace, type FleetRoot, isRootName, UnseenBackupError } from './backup-place.js'
import { readFleetOptions } from './fleet-options.js'
import { type FleetConnection, FleetQueue } from './fleet-queue.js'
import { withScratch } from './fleet-scratch.js'
import { LeaseRenewal } from './lease-renewal.js'
import { chooseShardCount, countWorkers, divideBackup, measureBackup } from './plan-backup.js'
import {
  failShard,
  giveBack,
  handIn,
  newId,
  queueName,
  type QueueWorker,
  removeWorker,
  reportWorker,
  type ShardFailure,
  type ShardLease,
  takeBackSilent,
  takeShard,
} from './shard-lease.js'

/** What a worker says of itself. */
export type FleetWorkerEvent =
  | { readonly kind: 'started'; readonly name: string }
  /** `loss`: why the connection to the queue is gone; `undefined`: it is there again. */
  | { readonly kind: 'connection'; readonly loss: string | undefined }
  | ({ readonly kind: 'taken' | 'done' | 'lost' | 'given-back' } & FleetShard)
  | ({ readonly kind: 'failed'; readonly message: string } & FleetShard)

/** A shard of a backup in a queue. */
export interface FleetShard {
  /** `ROOT:PATH`, or a path. */
  readonly backup: string
  readonly shard: number
  readonly shards: number
}

/** How a worker works. */
export interface FleetWorkerOptions extends Omit<FleetConnection, 'onConnection'> {
  /** At least one. What is below none of them is refused. */
  readonly roots: readonly FleetRoot[]
  /** What others know it by. Default: the name of the machine. */
  readonly name?: string
  /** Threads for a shard. Default: as `verifyBackup`. */
  readonly jobs?: number
  /** Bytes read in a second. Default: as many as can be. */
  readonly maxRate?: number
  /** After so many seconds of silence its shard is given to others. Default 30. */
  readonly leaseSeconds?: number
  /** Larger report fragments are not handed in. Default 64 MiB. */
  readonly maxFragmentBytes?: number
  /** Is told what the worker does. */
  readonly onEvent?: (event: FleetWorkerEvent) => void
  /** Ends the worker when the shard that it is at is done. */
  readonly signal?: AbortSignal
  /** Ends the worker at once; its shard is given back. */
  readonly stopNow?: AbortSignal
}

const DEFAULT_LEASE_SECONDS = 30
const MAX_FRAGMENT_BYTES = 64 * 1024 * 1024

/** How long an idle worker waits for news, in milliseconds: what is not told, because a retry is due later, it has to look for. */
const IDLE_MS = 1000

/** After a backup that it cannot see, a worker leaves the others of that root to others for so long, in milliseconds. */
const FIRST_REST_MS = 1000
const LONGEST_REST_MS = 30_000

/**
 * Takes shards from a queue and verifies them, until it is told to stop. Each is handed in as a report fragment, and counts
 * once, whatever happens to workers, connections and the server meanwhile.
 *
 * @throws {@link PbManifestError} `USAGE`, `SERVER`; `IO` when there is no place for a fragment
 * @example
 * ```ts
 * import { readConnectionEnvironment, resolveConnection, runFleetWorker } from 'pbmanifest'
 *
 * const { options: connection } = resolveConnection({ conninfo: 'dbname=fleet' }, readConnectionEnvironment(process.env))
 * await runFleetWorker({ connection, roots: [{ directory: '/backups' }] })
 * ```
 */
export async function runFleetWorker(options: FleetWorkerOptions): Promise<void> {
  const { roots, signal, stopNow, onEvent, connection, schema } = options
  requireRoots(roots)
  const stop = anyOf(signal, stopNow)
  const queue = await FleetQueue.open(
    {
      connection,
      ...(schema !== undefined && { schema }),
      onConnection: (loss) => onEvent?.({ kind: 'connection', loss }),
    },
    stop,
  )
  try {
    await withScratch(async (scratch) => await new FleetWorker(queue, scratch, options).work(stop))
  } finally {
    await queue.close()
  }
}

class FleetWorker {
  readonly #queue: FleetQueue
  readonly #options: FleetWorkerOptions
  readonly #fragment: string
  readonly #worker: QueueWorker
  /** Of queues whose last backup could not be seen: how long that keeps the worker away, and from when on it may look again. */
  readonly #rests = new Map<string, { readonly milliseconds: number; readonly end: number }>()

  constructor(queue: FleetQueue, scratch: string, options: FleetWorkerOptions) {
    this.#queue = queue
    this.#options = options
    this.#fragment = join(scratch, 'fragment')
    const names = new Set(options.roots.map(({ name = '' }) => name))
    this.#worker = {
      id: newId(),
      name: options.name ?? hostname(),
      host: hostname(),
      pid: process.pid,
      version,
      queues: [...names].map((name) => queueName(version, name)),
      leaseSeconds: options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
    }
  }

  async work(stop: AbortSignal): Promise<void> {
    try {
      await this.#queue.run(async (transaction) => await reportWorker(transaction, this.#worker), stop)
      this.#options.onEvent?.({ kind: 'started', name: this.#worker.name })
      while (!stop.aborted) {
        const lease = await this.#take(stop)
        if (lease === undefined) await this.#queue.waitForNews(this.#idleMs, stop)
        else await this.#verify(lease)
      }
    } catch (error) {
      // It was told to stop while it was waiting for the server.
      if (!stop.aborted || !isPbManifestError(error) || error.code !== 'ABORTED') throw error
      return
    }
    await this.#queue.runBriefly(async (transaction) => await removeWorker(transaction, this.#worker.id))
  }

  get #idleMs(): number {
    return Math.min(IDLE_MS, (this.#worker.leaseSeconds * 1000) / 3)
  }

  async #take(stop: AbortSignal): Promise<ShardLease | undefined> {
    const now = performance.now()
    const open = this.#worker.queues.filter((queue) => (this.#rests.get(queue)?.end ?? 0) <= now)
    return await this.#queue.run(async (transaction) => {
      await reportWorker(transaction, this.#worker)
      await takeBackSilent(transaction)
      return await takeShard(transaction, this.#worker, open)
    }, stop)
  }

  async #verify(lease: ShardLease): Promise<void> {
    const { stopNow, onEvent } = this.#options
    let what: FleetShard = { backup: showPlace(lease), shard: lease.shard, shards: lease.shards || 1 }
    const renewal = new LeaseRenewal(this.#queue, lease, this.#worker)
    try {
      const end = anyOf(renewal.lost, stopNow)
      const directory = await findPlace(lease, this.#options.roots)
      await requireManifest(directory)
      const shards = lease.shards || (await this.#divide(lease, directory, end))
      what = { ...what, shards }
      onEvent?.({ kind: 'taken', ...what })
      const content = await this.#makeFragment({ ...lease, shards }, directory, renewal, end)
      const counts = await this.#queue.run(
        async (transaction) => await handIn(transaction, { ...lease, shards }, this.#worker, content),
        stopNow,
      )
      this.#rests.delete(lease.queue)
      onEvent?.({ kind: counts ? 'done' : 'lost', ...what })
    } catch (error) {
      if (stopNow?.aborted === true) {
        renewal.end()
        await this.#queue.runBriefly(async (transaction) => await giveBack(transaction, lease))
        onEvent?.({ kind: 'given-back', ...what })
        return
      }
      if (renewal.lost.aborted) return onEvent?.({ kind: 'lost', ...what })
      const failure = describeShardFailure(error)
      if (failure.isUnseen) this.#rest(lease.queue)
      await this.#queue.run(async (transaction) => await failShard(transaction, lease, failure), stopNow)
      onEvent?.({ kind: 'failed', message: failure.message, ...what })
      if (!isPbManifestError(error)) throw error
    } finally {
      renewal.end()
    }
  }

  /** Decides how many shards a backup has, by what it is worth and who could take them. */
  async #divide(lease: ShardLease, directory: string, signal: AbortSignal): Promise<number> {
    const { queue } = lease
    const workers = await this.#queue.run(
      async (transaction) => await countWorkers(transaction, queue),
      signal,
    )
    const size = workers > 1 ? await measureBackup(directory, signal) : { files: 0, bytes: 0 }
    const wanted = chooseShardCount(workers, size)
    return await this.#queue.run(
      async (transaction) => await divideBackup(transaction, lease, wanted),
      signal,
    )
  }

  async #makeFragment(
    lease: ShardLease,
    directory: string,
    renewal: LeaseRenewal,
    signal: AbortSignal,
  ): Promise<Buffer> {
    const { jobs, maxRate, maxFragmentBytes = MAX_FRAGMENT_BYTES } = this.#options
    const { shard, shards } = lease
    const options = readFleetOptions(lease.options)
    await verifyShard(directory, {
      ...options,
      shard,
      shards,
      output: this.#fragment,
      ...(jobs !== undefined && { jobs }),
      ...(maxRate !== undefined && { maxRate }),
      signal,
      onProgress: (progress) => renewal.report(progress),
    })
    const { size } = await stat(this.#fragment)
    if (size > maxFragmentBytes) {
      const limit = `a queue takes ${maxFragmentBytes} at most; with more shards, each is smaller`
      throw new FragmentTooLargeError(
        'IO',
        `the report fragment of shard ${shard} has ${size} bytes: ${limit}`,
      )
    }
    return await readFile(this.#fragment)
  }

  #rest(queue: string): void {
    const last = this.#rests.get(queue)?.milliseconds
    const milliseconds = last === undefined ? FIRST_REST_MS : Math.min(last * 2, LONGEST_REST_MS)
    this.#rests.set(queue, { milliseconds, end: performance.now() + milliseconds })
  }
}

/** All workers would find the same. */
class FragmentTooLargeError extends PbManifestError {}

/** What is not mounted is often an empty directory. */
async function requireManifest(directory: string): Promise<void> {
  const path = join(directory, 'backup_manifest')
  try {
    await stat(path)
  } catch (error) {
    const why = describeSystemError(error)?.message
    throw why === undefined ? error : new UnseenBackupError(`could not open file "${path}": ${why}`, error)
  }
}

function requireRoots(roots: readonly FleetRoot[]): void {
  if (roots.length === 0) {
    throw new PbManifestError('USAGE', 'no root specified, below which backups may be', {
      hint: 'For example: --root=/backups, or --root=NAME=/mnt/backups where the path is another one elsewhere.',
    })
  }
  for (const { name, directory } of roots) {
    if (name !== undefined && !isRootName(name)) {
      throw new PbManifestError('USAGE', `invalid name of a root: "${name}"`)
    }
    if (directory === '') throw new PbManifestError('USAGE', 'a root has no directory')
  }
}

function describeShardFailure(error: unknown): ShardFailure {
  const message = error instanceof Error ? error.message : String(error)
  if (!isPbManifestError(error)) return { code: 'IO', message: `bug: ${message}`, isUnseen: false }
  return {
    code: error.code,
    message,
    isUnseen: error instanceof UnseenBackupError,
    isFinal: error instanceof FragmentTooLargeError,
  }
}

/** A backup in the queue, as people name it. */
function showPlace({ root, path }: { readonly root: string; readonly path: string }): string {
  return root === '' ? path : `${root}:${path}`
}

function anyOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined))
}
