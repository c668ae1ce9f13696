import { Claims } from '../../threads/claims.js'
import { SharedCount } from '../../threads/wake-up.js'
import type { FileTable } from '../file-table/file-table.js'

/**
 * What can come of a row; 0 is none yet. Of a row that is told there is a finding; of one that is absent, no file; one that
 * is unchanged was not read; nor one that is good by the checksum that a store keeps.
 */
export const outcomeCodes = { good: 1, told: 2, absent: 3, unchanged: 4, goodByStore: 5 } as const

/** The memory of a work queue, shared by all threads. */
export interface WorkQueueBuffers {
  /** Uint32: the rows to check, in their order. */
  readonly rows: SharedArrayBuffer
  /** Uint8: what came of each, as a number of `outcomeCodes`; 0 until it is known. */
  readonly outcomes: SharedArrayBuffer
  /** Uint32: how many pages of each were checked. */
  readonly pages: SharedArrayBuffer
  readonly claims: SharedArrayBuffer
  /** Int32: {@link PUBLISHED}, {@link IS_COMPLETE}, {@link ENGINE}. */
  readonly control: SharedArrayBuffer
  /** BigInt64: bytes read, or found not to need reading, by all threads; and bytes of all rows published. */
  readonly bytes: SharedArrayBuffer
}

const PUBLISHED = 0
const IS_COMPLETE = 1
const ENGINE = 2

const BYTES_DONE = 0
const BYTES_PUBLISHED = 1

/** To count in shared memory after each small file takes as long as the file's checksum. */
const BYTES_BETWEEN_TELLING = 256 * 1024

/** Whether a thread has loaded the fastest engine. */
const NOT_LOADED = 0
const LOADING = 1
const LOADED = 2

/**
 * Rows for threads to check: one thread publishes, the others claim. No message is sent for a file, and no thread waits
 * while there is one.
 */
export class WorkQueue {
  readonly buffers: WorkQueueBuffers
  readonly #rows: Uint32Array
  readonly #outcomes: Uint8Array
  readonly #pages: Uint32Array
  readonly #claims: Claims
  readonly #control: Int32Array
  readonly #published: SharedCount
  readonly #bytes: BigInt64Array
  #bytesUntold = 0

  constructor(buffers: WorkQueueBuffers) {
    this.buffers = buffers
    this.#rows = new Uint32Array(buffers.rows)
    this.#outcomes = new Uint8Array(buffers.outcomes)
    this.#pages = new Uint32Array(buffers.pages)
    this.#claims = new Claims(buffers.claims)
    this.#control = new Int32Array(buffers.control)
    this.#published = new SharedCount(this.#control, PUBLISHED)
    this.#bytes = new BigInt64Array(buffers.bytes)
  }

  /** A queue for at most so many rows. */
  static allocate(maxRows: number): WorkQueue {
    return new WorkQueue({
      rows: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      outcomes: new SharedArrayBuffer(maxRows),
      pages: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      claims: new Claims().buffer,
      control: new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT),
      bytes: new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT),
    })
  }

  /** How many rows were published so far. */
  get length(): number {
    return this.#published.value
  }

  get bytesDone(): number {
    return Number(Atomics.load(this.#bytes, BYTES_DONE))
  }

  /** Of the rows that were published, those that are not read yet. */
  get bytesLeft(): number {
    return Number(Atomics.load(this.#bytes, BYTES_PUBLISHED)) - this.bytesDone
  }

  /** Adds rows at the end, and wakes the threads that wait. */
  publish(rows: ArrayLike<number>, bytes: number): void {
    Atomics.add(this.#bytes, BYTES_PUBLISHED, BigInt(bytes))
    this.#rows.set(rows, this.length)
    this.#published.add(rows.length)
  }

  /** Says that no more rows will come. */
  complete(): void {
    Atomics.store(this.#control, IS_COMPLETE, 1)
    this.#published.wakeThreads()
  }

  /** Says that nobody wants to know any more: what is not claimed yet will not be. */
  abandon(): void {
    this.#claims.abandon()
    this.#published.wakeThreads()
  }

  get isAbandoned(): boolean {
    return this.#claims.isAbandoned
  }

  /** @throws {@link Abandoned} */
  throwIfAbandoned(): void {
    this.#claims.throwIfAbandoned()
  }

  /**
   * Takes the next place of the queue for this thread; waits for one to be published. -1 at the end, and when the queue
   * was abandoned.
   */
  claim(): number {
    const place = this.#claims.claim()
    for (;;) {
      if (this.#claims.isAbandoned) return -1
      // In this order: rows may be published between the two looks, but not after the end.
      const isComplete = Atomics.load(this.#control, IS_COMPLETE) === 1
      const length = this.length
      if (place < length) return place
      this.#tellBytesDone()
      if (isComplete) return -1
      // The end does not change the length, so look again now and then.
      this.#published.sleepWhile(length, 50)
    }
  }

  row(place: number): number {
    return this.#rows[place] ?? 0
  }

  /** The row that is likely to be claimed next; `undefined` when there is none, as far as is known. */
  get nextRow(): number | undefined {
    const place = this.#claims.next
    return place < this.length ? this.#rows[place] : undefined
  }

  /** What came of the row at this place; 0 when that is not known yet. */
  outcome(place: number): number {
    return Atomics.load(this.#outcomes, place)
  }

  setOutcome(place: number, outcome: number): void {
    Atomics.store(this.#outcomes, place, outcome)
  }

  /** How many pages of the row at this place were checked; known once its outcome is. */
  pages(place: number): number {
    return this.#pages[place] ?? 0
  }

  /** To be called before the outcome is set. */
  setPages(place: number, pages: number): void {
    this.#pages[place] = pages
  }

  /** Others see it a little later. */
  addBytesDone(bytes: number): void {
    this.#bytesUntold += bytes
    if (this.#bytesUntold >= BYTES_BETWEEN_TELLING) this.#tellBytesDone()
  }

  #tellBytesDone(): void {
    if (this.#bytesUntold === 0) return
    Atomics.add(this.#bytes, BYTES_DONE, BigInt(this.#bytesUntold))
    this.#bytesUntold = 0
  }

  /** Whether this thread should load the fastest engine now: not while another one does it for the first time. */
  mayLoadEngine(): boolean {
    return Atomics.compareExchange(this.#control, ENGINE, NOT_LOADED, LOADING) !== LOADING
  }

  /** Whether a thread of the process has loaded the fastest engine, or found that it cannot be. */
  get isEngineLoaded(): boolean {
    return Atomics.load(this.#control, ENGINE) === LOADED
  }

  engineIsLoaded(): void {
    Atomics.store(this.#control, ENGINE, LOADED)
  }
}

/** The order in which rows are best read; files of the same size stay in the manifest's order. */
export function largestFirst(rows: Uint32Array, table: FileTable): Uint32Array {
  let largest = 0
  for (const row of rows) largest = Math.max(largest, table.size(row))
  if (largest >= 2 ** 32 || rows.length > 2 ** 20)
    return rows.toSorted((left, right) => table.size(right) - table.size(left))
  // Numbers are sorted much faster than by a function that compares: the size above, the place below.
  const keys = new Float64Array(rows.length)
  for (let place = 0; place < rows.length; place++)
    keys[place] = (largest - table.size(rows[place] as number)) * 2 ** 20 + place
  keys.sort()
  const sorted = new Uint32Array(rows.length)
  for (let place = 0; place < rows.length; place++)
    sorted[place] = rows[(keys[place] as number) % 2 ** 20] as number
  return sorted
}
