import { unlink } from 'node:fs/promises'
import type { BackupMode } from '../cluster-files/cluster-files.js'
import type { SessionCommand, StoppedBackup } from '../commands/replication-command.js'
import { type Backup, fragmentPath, throwIfBackupAborted, openBackup, type KnownBackups } from './backup.js'
import { FragmentRecorder } from './fragment-recorder.js'
import { displayText, shortenText } from '../../files/display-text.js'
import { RefusedError, refused } from '../commands/refused-error.js'
import type { BackupPhase, BackupState } from './backup-state.js'

/** A session's part in a backup. */
export interface Membership {
  readonly backup: Backup
  /** 0 is the leader. */
  readonly worker: number
  /** `undefined` without a manifest, and once the fragment is sealed. */
  recorder: FragmentRecorder | undefined
  /** Of a leader's session only. */
  readonly leader: Leader | undefined
  /** Whether another session may take its place: what it has recorded stays then. */
  readonly mayBeReplaced: boolean
}

/** What only the leader's session has. */
export interface Leader {
  readonly mode: BackupMode
  /** Once the backup was stopped. */
  end: StoppedBackup | undefined
  /** Whether all is done: the manifest was built, or there is to be none and the backup was stopped. */
  isComplete: boolean
}

/**
 * Makes the session of this number a member, with a fragment if there is to be a manifest.
 *
 * @param kept - of a session whose place another one may have had: how many files of that one stay in the fragment
 * @throws {@link PbManifestError} `IO`; `ABORTED` when the backup was aborted meanwhile
 */
export async function createMembership(
  backup: Backup,
  worker: number,
  leader: Leader | undefined,
  kept?: number,
): Promise<Membership> {
  const { description } = backup
  const recorder =
    description.manifest === 'no' ? undefined : await FragmentRecorder.create(description, worker, kept)
  try {
    // An abort removes the fragments that are there. This one may have come too late for that.
    throwIfBackupAborted(backup)
    return { backup, worker, recorder, leader, mayBeReplaced: kept !== undefined }
  } catch (error) {
    await recorder?.discard()
    throw error
  }
}

/**
 * Seals the fragment, so that it can be merged.
 *
 * @throws {@link PbManifestError} `IO`; `ABORTED` when the backup was aborted, and then no fragment is left
 */
export async function sealFragment(membership: Membership): Promise<void> {
  const { backup, recorder } = membership
  membership.recorder = undefined
  try {
    throwIfBackupAborted(backup)
    await recorder?.seal()
    throwIfBackupAborted(backup)
  } catch (error) {
    await recorder?.discard()
    throw error
  }
  backup.state.addFinished()
}

/**
 * Ends the fragment of a session that did not come to its end. It stays while there is a backup in which another session may
 * take the place of this one. Never throws.
 */
export async function abandonFragment({ backup, recorder, mayBeReplaced }: Membership): Promise<void> {
  if (mayBeReplaced) await recorder?.suspend()
  if (!mayBeReplaced || backup.state.phase === 'aborted') await recorder?.discard()
}

/** Removes every fragment of the backup, whosever. Never throws. */
export async function removeFragments({ description, state }: Backup): Promise<void> {
  const workers = Array.from({ length: state.sessions }, (_, worker) => worker)
  await Promise.all(workers.map((worker) => unlink(fragmentPath(description, worker)).catch(() => {})))
}

/** An id has 32 characters; what is longer is none. */
const MAX_SHOWN = 64

const reasons: Readonly<Record<Exclude<BackupPhase, 'running'>, string>> = {
  stopping: 'is being stopped',
  stopped: 'was stopped already',
  aborted: 'was aborted',
}

/**
 * Makes the session a worker of a backup that runs.
 *
 * @throws {@link PbManifestError} `USAGE` when there is no such backup, or it does not run; `IO`; `ABORTED`
 */
export async function joinBackup(
  { backupId, session }: Pick<SessionCommand<'JOIN_BACKUP'>, 'backupId' | 'session'>,
  registry: KnownBackups,
): Promise<Membership> {
  const handle = registry.get(backupId)
  if (handle === undefined) {
    throw new RefusedError('unknown-object', `backup "${displayId(backupId)}" does not exist`)
  }
  const backup = openBackup(handle)
  const place = session && registry.placeOf?.(session.id)
  if (place !== undefined) {
    requireRunning(backupId, backup.state)
    return await createMembership(backup, place, undefined, session?.received)
  }
  const worker = backup.state.join()
  if (worker !== undefined) return await createMembership(backup, worker, undefined)
  requireRunning(backupId, backup.state)
  throw refused(`backup "${backupId}" has too many sessions`)
}

/** @throws {@link PbManifestError} `USAGE` when nobody can join it */
export function requireRunning(backupId: string, { phase }: BackupState): void {
  if (phase !== 'running') throw refused(`could not join backup "${backupId}": it ${reasons[phase]}`)
}

function displayId(backupId: string): string {
  return displayText(shortenText(backupId, MAX_SHOWN))
}
