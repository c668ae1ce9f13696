import { PbManifestError } from '../../errors.js'
import { fragmentFileName } from '../../manifest/fragment/backup-id.js'
import { BackupState, type BackupMemory } from './backup-state.js'
import { monotonicClock, TokenBucket } from './token-bucket.js'
import type { ChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { IncrementalPlan, type IncrementalPlanMemory } from '../../postgres/wal-summary/incremental-plan.js'
import type { StartPoint } from '../../postgres/wal-summary/required-summaries.js'
import type { ClusterFacts } from '../cluster-files/cluster-files.js'

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
