/** What a worker spends its time on. */
export const activities = [
  /** It waits for bytes: the server reads them, or they are on their way. */
  'waiting',
  /** It waits because of the rate limit. */
  'throttled',
  /** It takes bytes out of the connection, verifies pages, and computes checksums. */
  'processing',
  /** It creates and writes files. */
  'writing',
  /** It makes what it wrote durable. */
  'syncing',
  /** It has nothing to do: no file is left, or its next one has not been given to it yet. */
  'idle',
] as const

/** What a worker spends its time on. */
export type Activity = (typeof activities)[number]

/** The memory that all workers and the leader share. */
export type WorkerCountersBuffer = SharedArrayBuffer

const BYTES_SLOT = 0
const FILES_SLOT = 1
const RECONNECTS_SLOT = 2
const FIRST_ACTIVITY_SLOT = 3
const SLOTS = FIRST_ACTIVITY_SLOT + activities.length

/**
 * What each worker has done so far, in shared memory: the leader reads it at any time, and no message is sent for it.
 *
 * Each slot has one writer. Numbers are 64 bits wide and atomic.
 */
export class WorkerCounters {
  readonly buffer: WorkerCountersBuffer
  readonly #slots: BigInt64Array

  constructor(buffer: WorkerCountersBuffer) {
    this.buffer = buffer
    this.#slots = new BigInt64Array(buffer)
  }

  static allocate(workers: number): WorkerCounters {
    return new WorkerCounters(new SharedArrayBuffer(workers * SLOTS * BigInt64Array.BYTES_PER_ELEMENT))
  }

  get workers(): number {
    return this.#slots.length / SLOTS
  }

  addBytes(worker: number, bytes: number): void {
    this.#add(worker, BYTES_SLOT, bytes)
  }

  addFile(worker: number): void {
    this.#add(worker, FILES_SLOT, 1)
  }

  /** A connection was lost, and there is another one. */
  addReconnect(worker: number): void {
    this.#add(worker, RECONNECTS_SLOT, 1)
  }

  /** @param milliseconds - of wall time */
  addTime(worker: number, activity: Activity, milliseconds: number): void {
    this.#add(worker, FIRST_ACTIVITY_SLOT + activities.indexOf(activity), Math.round(milliseconds * 1000))
  }

  bytes(worker: number): number {
    return this.#read(worker, BYTES_SLOT)
  }

  files(worker: number): number {
    return this.#read(worker, FILES_SLOT)
  }

  reconnects(worker: number): number {
    return this.#read(worker, RECONNECTS_SLOT)
  }

  seconds(worker: number): Record<Activity, number> {
    const pairs = activities.map(
      (activity, index) => [activity, this.#read(worker, FIRST_ACTIVITY_SLOT + index) / 1e6] as const,
    )
    return Object.fromEntries(pairs) as Record<Activity, number>
  }

  totalBytes(): number {
    let sum = 0
    for (let worker = 0; worker < this.workers; worker++) sum += this.bytes(worker)
    return sum
  }

  #add(worker: number, slot: number, value: number): void {
    Atomics.add(this.#slots, worker * SLOTS + slot, BigInt(value))
  }

  #read(worker: number, slot: number): number {
    return Number(Atomics.load(this.#slots, worker * SLOTS + slot))
  }
}
