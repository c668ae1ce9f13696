import { BACKUP_LABEL } from '../../postgres/data-directory.js'
import type { StoppedBackup } from '../commands/command-results.js'
import { throwIfBackupAborted } from './backup.js'
import type { Membership } from './membership.js'
import { refused } from '../commands/refused-error.js'

/**
 * Ends backup mode, and records backup_label, which exists from now on. tablespace_map is not recorded: in a backup in
 * plain format it is not, since that has the links themselves.
 *
 * When the server refuses, the backup is aborted: whether it still runs there, nobody knows.
 *
 * @throws {@link PbManifestError} when it is refused or fails
 */
export async function stopBackup(membership: Membership, waitForArchive: boolean): Promise<StoppedBackup> {
  const { backup, leader, recorder } = membership
  if (leader === undefined) throw refused('only the session that started the backup can stop it')
  beginStop(membership)
  try {
    const end = await leader.mode.stop({ waitForArchive })
    await recorder?.recordBytes(BACKUP_LABEL, end.backupLabel)
    if (!backup.state.move(['stopping'], 'stopped')) throwIfBackupAborted(backup)
    leader.end = { ...end, checksumFailures: backup.state.checksumFailures }
    leader.isComplete = backup.description.manifest === 'no'
    return leader.end
  } catch (error) {
    backup.state.move(['stopping', 'stopped'], 'aborted')
    throw error
  }
}

function beginStop({ backup }: Membership): void {
  const { state } = backup
  if (!state.move(['running'], 'stopping')) {
    throwIfBackupAborted(backup)
    throw refused('the backup has been stopped already')
  }
  if (state.sending === 0) return
  state.move(['stopping'], 'running')
  throw refused('the backup cannot be stopped while files are being sent')
}
