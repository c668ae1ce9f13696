/** The memory of a backup, shared by all threads. */
export interface BackupMemory {
  /** Int32, its places below. */
  readonly control: SharedArrayBuffer
  /** BigInt64, its places below. */
  readonly counters: SharedArrayBuffer
}

/** Where in `control`: the phase in the upper bits, the number of sessions so far in the lower. */
const PHASE_AND_SESSIONS = 0
const FINISHED = 1
const SENDING = 2
const CHECKSUM_FAILURES = 3
const CONTROL_LENGTH = 4

/** Where in `counters`. */
const BYTES_STREAMED = 0
const BYTES_EXPECTED = 1
const PAID_UNTIL = 2
const COUNTERS_LENGTH = 3

const SESSION_BITS = 24
const SESSION_MASK = 2 ** SESSION_BITS - 1

const phases = ['running', 'stopping', 'stopped', 'aborted'] as const

export type BackupPhase = (typeof phases)[number]

/**
 * What the sessions of a backup share while it runs. Each step is one atomic operation, so it does not matter in which
 * threads the sessions are.
 */
export class BackupState {
  readonly memory: BackupMemory
  readonly #control: Int32Array
  readonly #counters: BigInt64Array

  constructor(memory: BackupMemory) {
    this.memory = memory
    this.#control = new Int32Array(memory.control)
    this.#counters = new BigInt64Array(memory.counters)
  }

  /** The state of a backup that runs, with its leader as session 0. */
  static allocate(): BackupState {
    const state = new BackupState({
      control: new SharedArrayBuffer(CONTROL_LENGTH * Int32Array.BYTES_PER_ELEMENT),
      counters: new SharedArrayBuffer(COUNTERS_LENGTH * BigInt64Array.BYTES_PER_ELEMENT),
    })
    Atomics.store(state.#control, PHASE_AND_SESSIONS, 1)
    return state
  }

  get phase(): BackupPhase {
    return phases[Atomics.load(this.#control, PHASE_AND_SESSIONS) >> SESSION_BITS] ?? 'aborted'
  }

  /** How many sessions there are or were, the leader's among them. */
  get sessions(): number {
    return Atomics.load(this.#control, PHASE_AND_SESSIONS) & SESSION_MASK
  }

  /** The number of a new session; `undefined` when the backup does not run, or has 16 million of them. */
  join(): number | undefined {
    for (;;) {
      const found = Atomics.load(this.#control, PHASE_AND_SESSIONS)
      // The phase is 0, so the word is the number of sessions.
      if (found >= SESSION_MASK) return undefined
      if (this.#replace(found, found + 1)) return found
    }
  }

  /** Moves from one phase to another; false when it is in none of the first. */
  move(from: readonly BackupPhase[], to: BackupPhase): boolean {
    for (;;) {
      const found = Atomics.load(this.#control, PHASE_AND_SESSIONS)
      if (!from.includes(phases[found >> SESSION_BITS] ?? 'aborted')) return false
      if (this.#replace(found, (phases.indexOf(to) << SESSION_BITS) | (found & SESSION_MASK))) return true
    }
  }

  /** Says that a session came to its end, its fragment sealed. */
  addFinished(): void {
    Atomics.add(this.#control, FINISHED, 1)
  }

  get finished(): number {
    return Atomics.load(this.#control, FINISHED)
  }

  /**
   * Says that a session begins to send files that the backup needs to have from before its end; `endSending` is due.
   *
   * @returns false when the backup does not run
   */
  beginSending(): boolean {
    // In this order: who stops the backup looks at the number after changing the phase.
    Atomics.add(this.#control, SENDING, 1)
    if (this.phase === 'running') return true
    this.endSending()
    return false
  }

  endSending(): void {
    Atomics.sub(this.#control, SENDING, 1)
  }

  /** How many sessions send such files. */
  get sending(): number {
    return Atomics.load(this.#control, SENDING)
  }

  addChecksumFailure(): void {
    Atomics.add(this.#control, CHECKSUM_FAILURES, 1)
  }

  get checksumFailures(): number {
    return Atomics.load(this.#control, CHECKSUM_FAILURES)
  }

  addStreamed(bytes: number): void {
    Atomics.add(this.#counters, BYTES_STREAMED, BigInt(bytes))
  }

  /** Bytes of files that were passed on, by all sessions. */
  get bytesStreamed(): number {
    return Number(Atomics.load(this.#counters, BYTES_STREAMED))
  }

  /** Bytes that the backup will have, an estimate; 0 until LIST_TABLESPACES PROGRESS was run. */
  get bytesExpected(): number {
    return Number(Atomics.load(this.#counters, BYTES_EXPECTED))
  }

  set bytesExpected(bytes: number) {
    Atomics.store(this.#counters, BYTES_EXPECTED, BigInt(bytes))
  }

  /** The memory of the token bucket. */
  get paidUntil(): BigInt64Array {
    return this.#counters.subarray(PAID_UNTIL, PAID_UNTIL + 1)
  }

  #replace(found: number, next: number): boolean {
    return Atomics.compareExchange(this.#control, PHASE_AND_SESSIONS, found, next) === found
  }
}
