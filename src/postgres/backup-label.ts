import { BackupContentLines } from './backup-content-lines.js'
import { takeBackupContent, takeIncrementalFrom, type BackupContent } from './backup-content.js'

/** What backup_label says: from where recovery begins, and what kind of backup it is. */
export type BackupLabel = BackupContent

/**
 * Reads backup_label, as strictly as the server does when it starts on the backup: the first two lines exactly, each with
 * its LF (a file with CRLF is refused), the timeline of line START TIMELINE equal to that in the segment's name.
 *
 * Unlike the server's reader it is not confused by a label of several lines.
 *
 * @param text - the file's text.
 * @param name - the file's name, for messages.
 * @throws PbManifestError `BAD_FILE`, in the server's words "invalid data in file".
 * @see src/backend/access/transam/xlogrecovery.c (`read_backup_label`)
 * @see https://www.postgresql.org/docs/current/continuous-archiving.html
 */
export function parseBackupLabel(text: string, name: string): BackupLabel {
  const lines = new BackupContentLines(text, name)
  const start = lines.takeWalLocation('START WAL LOCATION')
  return takeBackupContent(lines, start, takeIncrementalFrom(lines))
}
