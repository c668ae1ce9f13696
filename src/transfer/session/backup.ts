import { setTimeout } from 'node:timers/promises'
import { PbManifestError } from '../../errors.js'
import { fragmentFileName } from '../../manifest/fragment/backup-id.js'
import { type BackupMemory, BackupState } from './backup-state.js'
import type { ChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { IncrementalPlan, type IncrementalPlanMemory } from '../../postgres/wal-summary/incremental-plan.js'
import type { StartPoint } from '../../postgres/wal-summary/required-summaries.js'
import type { ClusterFacts } from '../cluster-files/cluster-files.js'
import { throwIfAborted } from '../../files/yielder.js'
import { pieceBytesOf, reserveBytes } from '../../threads/shared-rate.js'

/** What does not change while a backup runs. */
export interface BackupDescription {
  /** 32 hexadecimal digits. */
  readonly id: string
  readonly startLsn: bigint
  readonly startTimeline: number
  readonly cluster: ClusterFacts
  /** In kB/s, over all sessions. */
  readonly maxRate: number | undefined
  readonly manifest: 'yes' | 'no' | 'force-encode'
  readonly checksumAlgorithm: ChecksumAlgorithm
  /** Where the fragments are until they are merged. */
  readonly fragmentDirectory: string
  /** `undefined`: it is a full one. */
  readonly incremental: IncrementalBackup | undefined
}

/** What makes a backup an incremental one. Plain data and shared memory: it crosses threads. */
export interface IncrementalBackup {
  /** Where the prior backup started. */
  readonly from: StartPoint
  readonly plan: IncrementalPlanMemory
}

/** A backup as another thread gets it: plain data and shared memory, which a message carries. */
export interface BackupHandle {
  readonly description: BackupDescription
  readonly memory: BackupMemory
}

/** A parallel backup as a session sees it. */
export interface Backup {
  readonly description: BackupDescription
  readonly state: BackupState
  /** `undefined`: no limit. */
  readonly bucket: TokenBucket | undefined
  /** What it has of each file; `undefined`: all, because it is a full one. */
  readonly plan: IncrementalPlan | undefined
}

/** A backup that begins. */
export function createBackup(description: BackupDescription): Backup {
  const state = BackupState.allocate()
  // Nothing was saved up before it began.
  Atomics.store(state.paidUntil, 0, monotonicClock.now())
  return openBackup({ description, memory: state.memory })
}

/** The backup that another thread made. */
export function openBackup({ description, memory }: BackupHandle): Backup {
  const state = new BackupState(memory)
  const { maxRate, incremental } = description
  const isOver = (): boolean => state.phase === 'aborted'
  const bucket = maxRate === undefined ? undefined : new TokenBucket(state.paidUntil, maxRate, isOver)
  const plan = incremental && new IncrementalPlan(incremental.plan)
  return { description, state, bucket, plan }
}

/** What another thread needs to take part. */
export function handleOf({ description, state }: Backup): BackupHandle {
  return { description, memory: state.memory }
}

/** Where a session's fragment is. */
export function fragmentPath({ id, fragmentDirectory }: BackupDescription, worker: number): string {
  return `${fragmentDirectory}/${fragmentFileName(id, worker)}`
}

/** What a session of a backup that was aborted by another ends with. */
export function backupAborted({ id }: BackupDescription): PbManifestError {
  return new PbManifestError('ABORTED', `backup "${id}" was aborted`)
}

/** @throws {@link PbManifestError} `ABORTED` when the backup was aborted by whatever session */
export function throwIfBackupAborted({ description, state }: Backup): void {
  if (state.phase === 'aborted') throw backupAborted(description)
}

/** So many backups are remembered, to say of one that it has ended and not that it never was. */
const MAX_REMEMBERED = 1000

/** Where a session finds the backup that it is to join, and where it makes known the one that it leads. */
export interface KnownBackups {
  add(handle: BackupHandle): void
  get(backupId: string): BackupHandle | undefined
  /**
   * Which worker's place a session that calls it so is to take: a new one, or one that is free, because nothing of the session
   * that had it is at work any more. `undefined` where places are not kept.
   */
  placeOf?(sessionId: string): number | undefined
}

/**
 * The backups that the sessions of a thread may join, by their ids. Each thread has its own; the thread of a worker is
 * given the handle that the thread of the leader has.
 */
export class BackupRegistry implements KnownBackups {
  readonly #backups = new Map<string, BackupHandle>()

  /** Makes a backup known. */
  add(handle: BackupHandle): void {
    if (this.#backups.size >= MAX_REMEMBERED) this.#forgetOne()
    this.#backups.set(handle.description.id, handle)
  }

  get(backupId: string): BackupHandle | undefined {
    return this.#backups.get(backupId)
  }

  /** The oldest that has ended. */
  #forgetOne(): void {
    for (const [id, { memory }] of this.#backups) {
      const { phase } = new BackupState(memory)
      if (phase === 'running' || phase === 'stopping') continue
      this.#backups.delete(id)
      return
    }
  }
}

const NS_PER_MS = 1_000_000n

/** For how long, in milliseconds, whoever takes bytes sleeps before looking whether there is still something to wait for. */
const LONGEST_SLEEP_MS = 250

/** Time as the token bucket needs it, so that a test can be its own clock. */
export interface Clock {
  /** Nanoseconds since some moment that is the same for all threads of the process; never goes backwards. */
  readonly now: () => bigint
  /** Rejects with any error when the signal fires. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
}

/** The clock of the machine: `performance.now` would begin anew in every thread. */
const monotonicClock: Clock = {
  now: () => process.hrtime.bigint(),
  sleep: async (milliseconds, signal) => {
    await setTimeout(milliseconds, undefined, signal && { signal })
  },
}

/** Keeps all sessions of a backup together, in whatever threads, at one rate: see {@link reserveBytes}. */
export class TokenBucket {
  readonly #paidUntil: BigInt64Array
  readonly #clock: Clock
  readonly #isOver: () => boolean
  /** In kB/s. */
  readonly rate: number

  /**
   * @param memory - one 64-bit number, shared
   * @param rate - in kB/s
   * @param isOver - whether nobody needs to wait any more, since the backup failed
   */
  constructor(memory: BigInt64Array, rate: number, isOver: () => boolean, clock: Clock = monotonicClock) {
    this.#paidUntil = memory
    this.rate = rate
    this.#isOver = isOver
    this.#clock = clock
  }

  /** How many bytes to take at a time. */
  get pieceBytes(): number {
    return pieceBytesOf(this.rate)
  }

  /**
   * Takes so many bytes; when this resolves, they may be passed on.
   *
   * @returns the nanoseconds waited
   * @throws {@link PbManifestError} `ABORTED`
   */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<bigint> {
    const asked = this.#clock.now()
    const due = reserveBytes(this.#paidUntil, this.rate, bytes, asked)
    let now = asked
    while (now < due && !this.#isOver()) {
      throwIfAborted(signal)
      const milliseconds = Math.min(Number((due - now + NS_PER_MS - 1n) / NS_PER_MS), LONGEST_SLEEP_MS)
      // An abort shows at the top of the loop, in our words.
      await this.#clock.sleep(milliseconds, signal).catch(() => throwIfAborted(signal))
      now = this.#clock.now()
    }
    throwIfAborted(signal)
    return now - asked
  }
}
