import { displayText, shortenText } from '../../files/display-text.js'
import { RefusedError } from '../commands/refused-error.js'
import { openBackup } from './backup.js'
import type { KnownBackups } from './backup-registry.js'
import type { BackupPhase } from './backup-state.js'
import { createMembership, type Membership } from './membership.js'
import { refused } from '../commands/refused-error.js'

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
export async function joinBackup(backupId: string, registry: KnownBackups): Promise<Membership> {
  const handle = registry.get(backupId)
  if (handle === undefined) {
    throw new RefusedError('unknown-object', `backup "${displayId(backupId)}" does not exist`)
  }
  const backup = openBackup(handle)
  const worker = backup.state.join()
  if (worker !== undefined) return await createMembership(backup, worker, undefined)
  const { phase } = backup.state
  throw phase === 'running'
    ? refused(`backup "${backupId}" has too many sessions`)
    : refused(`could not join backup "${backupId}": it ${reasons[phase]}`)
}

function displayId(backupId: string): string {
  return displayText(shortenText(backupId, MAX_SHOWN))
}
