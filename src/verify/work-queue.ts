import { setTimeout } from 'node:timers/promises'

/** What can come of a row; 0 is none yet. Of a row that is told there is a finding. */
export const outcomeCodes = { good: 1, told: 2 } as const

/** The memory of a work queue, shared by all threads. */
export interface WorkQueueBuffers {
  /** Uint32: the rows to check, in their order. */
  readonly rows: SharedArrayBuffer
  /** Uint8: what came of each, as a number of `outcomeCodes`; 0 until it is known. */
  readonly outcomes: SharedArrayBuffer
  /** Uint32: how many pages of each were checked. */
  readonly pages: SharedArrayBuffer
  /** Int32: {@link PUBLISHED}, {@link CLAIMED}, {@link IS_CLOSED}, {@link IS_STOPPED}, {@link LOADING}. */
  readonly control: SharedArrayBuffer
  /** BigInt64: bytes read, or found not to need reading, by all threads. */
  readonly bytesDone: SharedArrayBuffer
}

const PUBLISHED = 0
const CLAIMED = 1
const IS_CLOSED = 2
const IS_STOPPED = 3
const LOADING = 4
const CONTROL_FIELDS = 5

/** A thread that died while it was loading something never ends that. */
const MAX_LOADING_MS = 5000

/**
 * Rows for threads to check: one thread publishes, the others claim. No message is sent for a file, and no thread waits
 * while there is one.
 */
export class WorkQueue {
  readonly buffers: WorkQueueBuffers
  readonly #rows: Uint32Array
  readonly #outcomes: Uint8Array
  readonly #pages: Uint32Array
  readonly #control: Int32Array
  readonly #bytesDone: BigInt64Array

  constructor(buffers: WorkQueueBuffers) {
    this.buffers = buffers
    this.#rows = new Uint32Array(buffers.rows)
    this.#outcomes = new Uint8Array(buffers.outcomes)
    this.#pages = new Uint32Array(buffers.pages)
    this.#control = new Int32Array(buffers.control)
    this.#bytesDone = new BigInt64Array(buffers.bytesDone)
  }

  /** A queue for at most so many rows. */
  static allocate(maxRows: number): WorkQueue {
    return new WorkQueue({
      rows: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      outcomes: new SharedArrayBuffer(maxRows),
      pages: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      control: new SharedArrayBuffer(CONTROL_FIELDS * Int32Array.BYTES_PER_ELEMENT),
      bytesDone: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
    })
  }

  /** How many rows were published so far. */
  get length(): number {
    return Atomics.load(this.#control, PUBLISHED)
  }

  get bytesDone(): number {
    return Number(Atomics.load(this.#bytesDone, 0))
  }

  /** Adds rows at the end, and wakes the threads that wait. */
  publish(rows: readonly number[]): void {
    const length = this.length
    this.#rows.set(rows, length)
    Atomics.store(this.#control, PUBLISHED, length + rows.length)
    Atomics.notify(this.#control, PUBLISHED)
  }

  /** Says that no more rows will come. */
  close(): void {
    Atomics.store(this.#control, IS_CLOSED, 1)
    Atomics.notify(this.#control, PUBLISHED)
  }

  /** Says that the threads will be ended, and waits until none of them is loading something. */
  async stop(): Promise<void> {
    Atomics.store(this.#control, IS_STOPPED, 1)
    const end = performance.now() + MAX_LOADING_MS
    while (Atomics.load(this.#control, LOADING) > 0 && performance.now() < end) await setTimeout(1)
  }

  /**
   * Runs what loads a native package: to end a thread in the middle of that ends the process.
   *
   * @returns false, without having run it, when the threads are to be ended
   */
  async load(run: () => Promise<void>): Promise<boolean> {
    Atomics.add(this.#control, LOADING, 1)
    try {
      // After the counting: whoever stops the threads either sees this one, or is seen by it.
      if (Atomics.load(this.#control, IS_STOPPED) === 1) return false
      await run()
      return true
    } finally {
      Atomics.sub(this.#control, LOADING, 1)
    }
  }

  /** Takes the next place of the queue for this thread; waits for one to be published. -1 at the end. */
  claim(): number {
    const place = Atomics.add(this.#control, CLAIMED, 1)
    for (;;) {
      // In this order: rows may be published between the two looks, but not after the closing.
      const isClosed = Atomics.load(this.#control, IS_CLOSED) === 1
      const length = this.length
      if (place < length) return place
      if (isClosed) return -1
      // Closing does not change the length, so look again now and then.
      Atomics.wait(this.#control, PUBLISHED, length, 50)
    }
  }

  row(place: number): number {
    return this.#rows[place] ?? 0
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

  addBytesDone(bytes: number): void {
    Atomics.add(this.#bytesDone, 0, BigInt(bytes))
  }
}
