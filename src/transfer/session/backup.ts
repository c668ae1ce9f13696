import { PbManifestError } from '../../errors.js'
import { fragmentFileName } from '../../manifest/fragment/backup-id.js'
import type { BackupDescription, BackupHandle } from './backup-handle.js'
import { BackupState } from './backup-state.js'
import { monotonicClock } from './clock.js'
import { TokenBucket } from './token-bucket.js'

/** A parallel backup as a session sees it. */
export interface Backup {
  readonly description: BackupDescription
  readonly state: BackupState
  /** `undefined`: no limit. */
  readonly bucket: TokenBucket | undefined
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
  const { maxRate } = description
  const isOver = (): boolean => state.phase === 'aborted'
  const bucket = maxRate === undefined ? undefined : new TokenBucket(state.paidUntil, maxRate, isOver)
  return { description, state, bucket }
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
