/** What can come of a row; 0 is none yet. Of a row that is told there is a finding; of one that is absent, no file. */
export const outcomeCodes = { good: 1, told: 2, absent: 3 } as const

/** The memory of a work queue, shared by all threads. */
export interface WorkQueueBuffers {
  /** Uint32: the rows to check, in their order. */
  readonly rows: SharedArrayBuffer
  /** Uint8: what came of each, as a number of `outcomeCodes`; 0 until it is known. */
  readonly outcomes: SharedArrayBuffer
  /** Uint32: how many pages of each were checked. */
  readonly pages: SharedArrayBuffer
  /** Int32: {@link PUBLISHED}, {@link CLAIMED}, {@link STATE}, {@link ENGINE}. */
  readonly control: SharedArrayBuffer
  /** BigInt64: bytes read, or found not to need reading, by all threads; and bytes of all rows published. */
  readonly bytes: SharedArrayBuffer
}

const PUBLISHED = 0
const CLAIMED = 1
const STATE = 2
const ENGINE = 3

const BYTES_DONE = 0
const BYTES_PUBLISHED = 1

/** States of a queue. */
const OPEN = 0
const CLOSED = 1
const ABANDONED = 2

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
  readonly #control: Int32Array
  readonly #bytes: BigInt64Array

  constructor(buffers: WorkQueueBuffers) {
    this.buffers = buffers
    this.#rows = new Uint32Array(buffers.rows)
    this.#outcomes = new Uint8Array(buffers.outcomes)
    this.#pages = new Uint32Array(buffers.pages)
    this.#control = new Int32Array(buffers.control)
    this.#bytes = new BigInt64Array(buffers.bytes)
  }

  /** A queue for at most so many rows. */
  static allocate(maxRows: number): WorkQueue {
    return new WorkQueue({
      rows: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      outcomes: new SharedArrayBuffer(maxRows),
      pages: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      control: new SharedArrayBuffer(4 * Int32Array.BYTES_PER_ELEMENT),
      bytes: new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT),
    })
  }

  /** How many rows were published so far. */
  get length(): number {
    return Atomics.load(this.#control, PUBLISHED)
  }

  get bytesDone(): number {
    return Number(Atomics.load(this.#bytes, BYTES_DONE))
  }

  /** Of the rows that were published, those that are not read yet. */
  get bytesLeft(): number {
    return Number(Atomics.load(this.#bytes, BYTES_PUBLISHED)) - this.bytesDone
  }

  /** Adds rows at the end, and wakes the threads that wait. */
  publish(rows: readonly number[], bytes: number): void {
    const length = this.length
    Atomics.add(this.#bytes, BYTES_PUBLISHED, BigInt(bytes))
    this.#rows.set(rows, length)
    Atomics.store(this.#control, PUBLISHED, length + rows.length)
    Atomics.notify(this.#control, PUBLISHED)
  }

  /** Says that no more rows will come. */
  complete(): void {
    Atomics.compareExchange(this.#control, STATE, OPEN, CLOSED)
    Atomics.notify(this.#control, PUBLISHED)
  }

  /** Says that nobody wants to know any more: what is not claimed yet will not be. */
  abandon(): void {
    Atomics.store(this.#control, STATE, ABANDONED)
    Atomics.notify(this.#control, PUBLISHED)
  }

  get isAbandoned(): boolean {
    return Atomics.load(this.#control, STATE) === ABANDONED
  }

  /**
   * Takes the next place of the queue for this thread; waits for one to be published. -1 at the end, and when the queue
   * was abandoned.
   */
  claim(): number {
    const place = Atomics.add(this.#control, CLAIMED, 1)
    for (;;) {
      // In this order: rows may be published between the two looks, but not after the closing.
      const state = Atomics.load(this.#control, STATE)
      if (state === ABANDONED) return -1
      const length = this.length
      if (place < length) return place
      if (state === CLOSED) return -1
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
    Atomics.add(this.#bytes, BYTES_DONE, BigInt(bytes))
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
